#pragma once

#include "models/bert.h"

namespace mlxe {

// Which layers share weights: consecutive ones, in `groups` of about equal size. Each layer of a group runs the group's
// `inner_layers`, one after another.
struct AlbertSharing {
  int64_t groups = 1, inner_layers = 1;
};

// Mirrors transformers/models/albert/modeling_albert.py (AlbertModel without its pooler): BERT with tables of a width
// of their own, a projection after their norm, and layers that share weights.
Plan albert(const BertConfig& config, const AlbertSharing& sharing);

}  // namespace mlxe
