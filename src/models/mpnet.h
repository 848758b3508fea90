#pragma once

#include "models/bert.h"

namespace mlxe {

// Buckets of relative positions. The original's attention always uses this default, whatever config.json says.
inline constexpr int64_t kMPNetBuckets = 32;

// Mirrors transformers/models/mpnet/modeling_mpnet.py (MPNetModel): BERT without token types, with one bias of relative
// positions that all layers share. `bias_rows`: of its table, at least kMPNetBuckets.
Plan mpnet(const BertConfig& config, int64_t bias_rows);

}  // namespace mlxe
