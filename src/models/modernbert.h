#pragma once

#include <cstdint>
#include <vector>

#include "format/config.h"
#include "models/activation.h"
#include "models/heads.h"
#include "models/model.h"

namespace mlxe {

struct ModernBertConfig {
  int64_t vocab_size, hidden_size, heads, intermediate_size, max_positions;
  std::vector<AttentionSpec>
      layers;  // of each layer: all tokens or a window, and the base of its rotary positions
  float norm_epsilon;
  Activation activation;
  Bias norm_bias, attention_bias, mlp_bias;
};

// Reads the keys of transformers 4 (global_attn_every_n_layers, global_rope_theta, local_rope_theta) and those of 5
// (layer_types, rope_parameters). Errors: format, unsupported (a kind of layer or of rotary scaling).
ModernBertConfig read_modernbert_config(const Config& config);

// Mirrors transformers/models/modernbert/modeling_modernbert.py (ModernBertModel).
Plan modernbert(const ModernBertConfig& config);

// For the registry. The transform is ModernBertPredictionHead.
Model make_modernbert(const Config& config);
SequenceClassifier modernbert_classifier(const Config& config);
HeadTransform modernbert_transform(const Config& config);

}  // namespace mlxe
