// The gates a comparison has by default: docs/gates.md.
#pragma once

#include <span>
#include <vector>

#include "mlx_encoder/compare.h"

namespace mlxe {

// The default gates with `settings` applied, in order of the tensors and measured on `comparison`, whose
// differences are complete. `limits` is with_defaults(). Errors: usage (a tensor or metric that is not
// there).
std::vector<Gate> apply_gates(const Comparison& comparison, const GateLimits& limits,
                              std::span<const GateSetting> settings);

}  // namespace mlxe
