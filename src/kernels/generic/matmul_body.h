// The matrix kernels of table.h over a wrapper `V` (see vector_math.h).
//
// matmul keeps a block of V::kRows x V::kVectors registers of sums. For each k it loads kVectors registers
// of the tile, broadcasts one activation a row, and does kRows * kVectors multiply-adds: enough to hide
// their latency. A block of fewer rows does the same operations in the same order.
#pragma once

#include "kernels/generic/vector_math.h"

namespace mlxe {
namespace {

template <class V>
struct Matmul {
  using Float = typename V::Float;
  static constexpr int kLanes = V::kLanes;
  static constexpr int kVectors = V::kVectors;
  static constexpr int kPanel = kLanes * kVectors;

  template <int rows>
  static void block(const float* x, ptrdiff_t ld_x, const float* w, ptrdiff_t ld_w, int64_t k,
                    const float* from, ptrdiff_t ld_from, float* y, ptrdiff_t ld_y, int64_t columns) {
    Float sum[rows][kVectors];
#pragma GCC unroll 16
    for (int m = 0; m < rows; ++m)
#pragma GCC unroll 16
      for (int v = 0; v < kVectors; ++v) sum[m][v] = V::set(0.0f);

    for (int64_t i = 0; i < k; ++i, w += ld_w) {
      Float column[kVectors];
#pragma GCC unroll 16
      for (int v = 0; v < kVectors; ++v) column[v] = V::load(w + v * kLanes);
#pragma GCC unroll 16
      for (int m = 0; m < rows; ++m) {
        const Float value = V::set(x[m * ld_x + i]);
#pragma GCC unroll 16
        for (int v = 0; v < kVectors; ++v) sum[m][v] = V::fma(value, column[v], sum[m][v]);
      }
    }

    if (columns == kPanel) {
#pragma GCC unroll 16
      for (int m = 0; m < rows; ++m)
#pragma GCC unroll 16
        for (int v = 0; v < kVectors; ++v)
          V::store(V::add(V::load(from + m * ld_from + v * kLanes), sum[m][v]), y + m * ld_y + v * kLanes);
    } else {
      float row[kPanel];
#pragma GCC unroll 16
      for (int m = 0; m < rows; ++m) {
#pragma GCC unroll 16
        for (int v = 0; v < kVectors; ++v) V::store(sum[m][v], row + v * kLanes);
        for (int64_t n = 0; n < columns; ++n) y[m * ld_y + n] = from[m * ld_from + n] + row[n];
      }
    }
  }

  // Calls block<rows> for the last, incomplete block.
  template <int rows>
  static void rest(int64_t count, const float* x, ptrdiff_t ld_x, const float* w, ptrdiff_t ld_w, int64_t k,
                   const float* from, ptrdiff_t ld_from, float* y, ptrdiff_t ld_y, int64_t columns) {
    if constexpr (rows > 0) {
      if (count == rows)
        block<rows>(x, ld_x, w, ld_w, k, from, ld_from, y, ld_y, columns);
      else
        rest<rows - 1>(count, x, ld_x, w, ld_w, k, from, ld_from, y, ld_y, columns);
    }
  }

  static void matmul(const float* x, ptrdiff_t ld_x, int64_t rows, const float* w, ptrdiff_t ld_w, int64_t k,
                     const float* from, ptrdiff_t ld_from, float* y, ptrdiff_t ld_y, int64_t columns) {
    for (; rows >= V::kRows; rows -= V::kRows) {
      block<V::kRows>(x, ld_x, w, ld_w, k, from, ld_from, y, ld_y, columns);
      x += V::kRows * ld_x, from += V::kRows * ld_from, y += V::kRows * ld_y;
    }
    rest<V::kRows - 1>(rows, x, ld_x, w, ld_w, k, from, ld_from, y, ld_y, columns);
  }

  // Transposes squares of kLanes x kLanes values in registers.
  static void pack(const float* in, ptrdiff_t ld, int64_t rows, int64_t columns, float* tile) {
    for (int64_t n = 0; n < kPanel; n += kLanes)
      for (int64_t k = 0; k < columns; k += kLanes) {
        const int64_t count = columns - k < kLanes ? columns - k : kLanes;
        Float square[kLanes];
        for (int i = 0; i < kLanes; ++i) {
          const float* row = in + (n + i) * ld + k;
          square[i] = n + i >= rows     ? V::set(0.0f)
                      : count == kLanes ? V::load(row)
                                        : V::load_some(row, count);
        }
        V::transpose(square);
        for (int i = 0; i < count; ++i) V::store(square[i], tile + (k + i) * kPanel + n);
      }
  }
};

}  // namespace
}  // namespace mlxe
