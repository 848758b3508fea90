// What config.json has to state for readers whose defaults differ from transformers', or that know only the keys of
// transformers 4. transformers reads these keys, too, or ignores them; a test holds the values against those it reads itself.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "format/checkpoint.h"
#include "models/model.h"

namespace mlxe {

// Adds keys that are absent; changes none.
//   XLM-RoBERTa        add_pooling_layer: false where the weights have no pooler, for mlx-embeddings
//   Qwen3, Gemma 3     head_dim, num_key_value_heads, rope_theta (and rope_local_base_freq)
//   ModernBERT         global_rope_theta, local_rope_theta
void state_for_readers(nlohmann::json& config, const Model& model, const Checkpoint& checkpoint);

}  // namespace mlxe
