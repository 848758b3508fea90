#pragma once

#include <cstdint>

#include "format/config.h"
#include "models/activation.h"
#include "models/model.h"

namespace mlxe {

struct MobileBertConfig {
  int64_t vocab_size, hidden_size, embedding_size, max_positions, type_vocab_size;
  int64_t layers, heads, intermediate_size;
  int64_t bottleneck_size;  // columns of a layer's inside
  int64_t feed_forwards;    // of a layer
  Activation activation;
};

// Mirrors transformers/models/mobilebert/modeling_mobilebert.py (MobileBertModel) with its usual bottlenecks: queries and
// keys read one of their own, values read the layer's input. Its "norms" are affine functions. A token's embedding holds
// those of its neighbours; a text's first and last token have none there, as in transformers without padding.
Plan mobilebert(const MobileBertConfig& config);

Model make_mobilebert(
    const Config& config);  // for the registry. Errors: format, unsupported (other bottlenecks)

}  // namespace mlxe
