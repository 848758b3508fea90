// Products with square matrices, computed by the engine's kernels.
#pragma once

#include <algorithm>
#include <vector>

#include "kernels/table.h"

namespace mlxe::calibrate {

inline constexpr int64_t kBlockRows = 32;  // rows of a weight matrix one unit of work takes
inline constexpr float kZeros[128] = {};

// A square matrix in panels, as kernels read it: panel i, [n, panel], has the columns from i * panel on.
class PanelMatrix {
 public:
  PanelMatrix() = default;
  PanelMatrix(const std::vector<float>& rows, int64_t n)
      : n_(n), panel_(kernels().panel), values_(static_cast<size_t>(panels() * n * panel_)) {
    for (int64_t r = 0; r < n; ++r)
      for (int64_t c = 0; c < n; c += panel_)
        std::copy_n(rows.data() + r * n + c, std::min(panel_, n - c), values_.data() + c * n + r * panel_);
  }

  int64_t columns() const noexcept { return n_; }
  int64_t panel() const noexcept { return panel_; }
  int64_t panels() const noexcept { return (n_ + panel_ - 1) / panel_; }
  // Of panel i, row r: panel() values.
  const float* row(int64_t i, int64_t r) const noexcept { return values_.data() + (i * n_ + r) * panel_; }
  float at(int64_t r, int64_t c) const noexcept { return row(c / panel_, r)[c % panel_]; }

  // out = x m of panel i, for `rows` rows of x, [rows, count], and rows [first, first + count) of m.
  void multiply(const float* x, int64_t ld_x, int64_t rows, int64_t i, int64_t first, int64_t count,
                float* out, int64_t ld_out) const {
    kernels().matmul(x, ld_x, rows, row(i, first), panel_, count, kZeros, 0, out, ld_out,
                     std::min(panel_, n_ - i * panel_));
  }
  // The same for all panels.
  void multiply(const float* x, int64_t ld_x, int64_t rows, int64_t first, int64_t count, float* out) const {
    for (int64_t i = 0; i < panels(); ++i) multiply(x, ld_x, rows, i, first, count, out + i * panel_, n_);
  }

 private:
  int64_t n_ = 0, panel_ = 1;
  std::vector<float> values_;
};

}  // namespace mlxe::calibrate
