#pragma once

#include <cstdint>
#include <vector>

#include "format/config.h"
#include "models/activation.h"
#include "models/model.h"

namespace mlxe {

struct Qwen3Config {
  int64_t vocab_size, hidden_size, intermediate_size, max_positions;
  int64_t head_size;                  // columns of each head; heads * head_size may differ from hidden_size
  std::vector<AttentionSpec> layers;  // the attention of each layer
  float norm_epsilon;
  Activation activation;
  Bias attention_bias;
};

// Errors: format, unsupported (a kind of layer, scaled rotary positions, attention to later tokens).
Qwen3Config read_qwen3_config(const Config& config);

// Mirrors transformers/models/qwen3/modeling_qwen3.py (Qwen3Model). It is a decoder: embedders built on it use the last
// token's vector.
Plan qwen3(const Qwen3Config& config);

Model make_qwen3(const Config& config);  // for the registry

}  // namespace mlxe
