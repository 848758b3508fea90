#pragma once

#include "models/bert.h"

namespace mlxe {

// Mirrors transformers/models/mpnet/modeling_mpnet.py (MPNetModel): BERT without token types, with one bias of relative
// positions that all layers share. `bias_rows`: of its table, at least 32.
Plan mpnet(const BertConfig& config, int64_t bias_rows);

}  // namespace mlxe
