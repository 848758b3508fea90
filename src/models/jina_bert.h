#pragma once

#include <cstdint>

#include "format/config.h"
#include "models/model.h"

namespace mlxe {

struct JinaBertConfig {
  int64_t vocab_size, type_vocab_size, hidden_size, intermediate_size, max_positions, layers, heads;
  float layer_norm_epsilon;
  bool gated;  // down(activation(gate(x)) * up(x)), or else down(activation(up(x)))
  Activation activation;
  bool query_norms;  // the code of jina-embeddings-v2-base-code
};

// Whether positions are linear biases. Published folders call themselves "bert", from which this tells them apart.
bool has_alibi(const Config& config) noexcept;

// Errors: format, unsupported (other positions, another feed-forward, foreign code).
JinaBertConfig read_jina_bert_config(const Config& config);

// Mirrors the code that jina-embeddings-v2 was published with (modeling_bert.py of jinaai/jina-bert-implementation):
// BERT with linear biases of distances in place of positions, and a gate. `query_norms`: that of
// jinaai/jina-bert-v2-qk-post-norm, which normalizes queries and keys over all heads, and the attention twice.
Plan jina_bert(const JinaBertConfig& config);

Model make_jina_bert(const Config& config);  // for the registry

}  // namespace mlxe
