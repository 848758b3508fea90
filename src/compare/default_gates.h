// The default gates of a comparison: docs/gates.md.
#pragma once

#include <span>
#include <vector>

#include "mlx_encoder/compare.h"

namespace mlxe {

// The default gates with `settings` applied, in the order of the tensors, judged on `comparison`. The differences of
// `comparison` must be complete. `limits`: the result of with_defaults(). Errors: usage (a tensor or metric that the
// comparison does not have).
std::vector<Gate> apply_gates(const Comparison& comparison, const GateLimits& limits,
                              std::span<const GateSetting> settings);

}  // namespace mlxe
