#pragma once

#include <cstdint>

#include "format/config.h"
#include "models/model.h"

namespace mlxe {

struct GteConfig {
  int64_t vocab_size, type_vocab_size, hidden_size, intermediate_size, max_positions, layers;
  AttentionSpec attention;
  float layer_norm_epsilon;
  Activation activation;
};

// Reads the keys of the published code (model_type "new": "rope_theta", "rope_scaling", ...) and those of transformers
// 5 ("gte": "rope_parameters"). Errors: format, unsupported (a scaling other than "ntk", another norm, separate
// matrices of queries, keys and values, scores scaled by the length, foreign code).
GteConfig read_gte_config(const Config& config);

// Mirrors transformers/models/gte/modeling_gte.py (GteModel): BERT's layers with rotary positions and a gate. The names
// are those of the published files, which transformers 5 writes too.
Plan gte(const GteConfig& config);

Model make_gte(const Config& config);  // for the registry

}  // namespace mlxe
