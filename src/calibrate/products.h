// Products with square matrices, by the engine's kernels.
#pragma once

#include <algorithm>

#include "kernels/table.h"

namespace mlxe::calibrate {

inline constexpr int64_t kBlockRows = 32;  // rows of a weight matrix one unit of work takes
inline constexpr float kZeros[128] = {};

// out = x m for `rows` rows of x, [rows, count], and rows [first, first + count) of m, [n, n], which has room
// behind it for a panel.
inline void multiply(const float* x, int64_t ld_x, int64_t rows, const float* m, int64_t n, int64_t first,
                     int64_t count, float* out) {
  const Kernels& k = kernels();
  for (int64_t column = 0; column < n; column += k.panel)
    k.matmul(x, ld_x, rows, m + first * n + column, n, count, kZeros, 0, out + column, n,
             std::min<int64_t>(k.panel, n - column));
}

}  // namespace mlxe::calibrate
