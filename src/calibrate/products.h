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
  // A tile of m at a time, copied together: its rows lie pages apart, and every few rows of x pass over it.
  constexpr int64_t kSlice = 256, kWidest = 128;
  alignas(64) float tile[kSlice * kWidest];
  const Kernels& k = kernels();
  for (int64_t column = 0; column < n; column += k.panel)
    for (int64_t slice = 0; slice < count; slice += kSlice) {
      const int64_t rows_of_m = std::min(kSlice, count - slice);
      for (int64_t r = 0; r < rows_of_m; ++r)
        std::copy_n(m + (first + slice + r) * n + column, k.panel, tile + r * k.panel);
      k.matmul(x + slice, ld_x, rows, tile, k.panel, rows_of_m, slice > 0 ? out + column : kZeros,
               slice > 0 ? n : 0, out + column, n, std::min<int64_t>(k.panel, n - column));
    }
}

}  // namespace mlxe::calibrate
