#pragma once

#include "models/activation.h"
#include "models/plan.h"

namespace mlxe {

struct DistilBertConfig {
  int64_t vocab_size, dim, layers, heads, hidden_dim, max_positions;
  Activation activation;
};

// Mirrors transformers/models/distilbert/modeling_distilbert.py (DistilBertModel).
Plan distilbert(const DistilBertConfig& config);

}  // namespace mlxe
