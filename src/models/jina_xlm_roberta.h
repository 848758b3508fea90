#pragma once

#include <cstdint>
#include <optional>

#include "format/config.h"
#include "models/model.h"

namespace mlxe {

struct JinaXlmRobertaConfig {
  int64_t vocab_size, type_vocab_size, hidden_size, intermediate_size, max_positions, layers;
  AttentionSpec attention;
  float layer_norm_epsilon;
  Activation activation;
  std::optional<int32_t>
      padding_id;  // positions are rows of a table, after those of padding; none: they are rotary
};

// Whether the folder is one of Jina's, which call themselves "xlm-roberta".
bool is_jina_xlm_roberta(const Config& config) noexcept;

// Reads the keys of the published code ("rotary_emb_base") and those of transformers 5. Errors: format, unsupported
// (positions of another kind, foreign code).
JinaXlmRobertaConfig read_jina_xlm_roberta_config(const Config& config);

// Mirrors transformers/models/jina_embeddings_v3 (JinaEmbeddingsV3Model) and the code that jina-embeddings-v3 and
// jina-reranker-v2 were published with (jinaai/xlm-roberta-flash-implementation): BERT's layers with biases, one matrix
// for queries, keys and values, and rotary positions or RoBERTa's table. The names are those of the published files,
// which transformers 5 writes too.
Plan jina_xlm_roberta(const JinaXlmRobertaConfig& config);

Model make_jina_xlm_roberta(const Config& config);  // for the registry

}  // namespace mlxe
