#pragma once

#include <cstdint>
#include <vector>

#include "format/config.h"
#include "models/activation.h"
#include "models/model.h"

namespace mlxe {

struct Gemma3Config {
  int64_t vocab_size, hidden_size, intermediate_size, max_positions;
  int64_t head_size;                  // columns of each head; heads * head_size may differ from hidden_size
  std::vector<AttentionSpec> layers;  // the attention of each layer
  float norm_epsilon;
  Activation activation;
  Bias attention_bias;
};

// Errors: format, unsupported (a kind of layer or of rotary positions, capped scores).
Gemma3Config read_gemma3_config(const Config& config);

// Mirrors transformers/models/gemma3/modeling_gemma3.py (Gemma3TextModel), which EmbeddingGemma is: with attention in
// both directions. It is a decoder otherwise.
Plan gemma3(const Gemma3Config& config);

Model make_gemma3(const Config& config);  // for the registry

}  // namespace mlxe
