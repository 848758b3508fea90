#pragma once

#include <cstdint>

#include "format/config.h"
#include "models/activation.h"
#include "models/model.h"

namespace mlxe {

struct T5Config {
  int64_t vocab_size, width, feed_forward_width, layers;
  int64_t head_size;        // columns of each head; heads * head_size may differ from width
  AttentionSpec attention;  // of all layers
  float norm_epsilon;
  Activation activation;
  bool gated;  // whether the feed-forward has a gate
};

// Errors: format, unsupported (an activation).
T5Config read_t5_config(const Config& config);

inline constexpr const char* kT5Words = "shared";  // the table of words; the decoder reads it, too

// Mirrors the encoder of transformers/models/t5/modeling_t5.py (T5EncoderModel). Positions count in attention alone, so
// that a text may have any length.
Plan t5(const T5Config& config);

Model make_t5(const Config& config);  // for the registry

}  // namespace mlxe
