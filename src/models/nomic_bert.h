#pragma once

#include <cstdint>

#include "format/config.h"
#include "models/model.h"

namespace mlxe {

struct NomicBertConfig {
  int64_t vocab_size, type_vocab_size, hidden_size, intermediate_size, max_positions, layers;
  AttentionSpec attention;
  float layer_norm_epsilon;
  Activation activation;
};

// Reads the keys of the published code ("n_embd", "rotary_emb_base", ...) and those of transformers 5. Errors: format,
// unsupported (a mixture of experts, biases, norms before layers, rotary positions of another kind, foreign code).
NomicBertConfig read_nomic_bert_config(const Config& config);

// Mirrors transformers/models/nomic_bert/modeling_nomic_bert.py (NomicBertModel): BERT's layers with rotary positions and
// a gate. The names are those of the published files, which transformers 5 writes too.
Plan nomic_bert(const NomicBertConfig& config);

Model make_nomic_bert(const Config& config);  // for the registry

}  // namespace mlxe
