// How far the rows that an engine computes are from other ones.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "larger_error.h"
#include "models/naive_forward.h"
#include "models/ops.h"

namespace mlxe::test {

// The largest difference from `expected`, relative to its largest value.
inline double relative_error(const float* found, const naive::Mat& expected) {
  double largest = 0, difference = 0;
  for (size_t i = 0; i < expected.v.size(); ++i) {
    largest = std::max(largest, std::abs(expected.v[i]));
    difference = larger_error(difference, std::abs(found[i] - expected.v[i]));
  }
  return difference / largest;
}

// The mean of 1 - cosine over the rows.
inline double mean_angle(const Matrix& a, const Matrix& b) {
  double sum = 0;
  for (int64_t r = 0; r < a.rows; ++r) {
    double ab = 0, aa = 0, bb = 0;
    for (int64_t i = r * a.columns; i < (r + 1) * a.columns; ++i) {
      const double x = a.values[static_cast<size_t>(i)], y = b.values[static_cast<size_t>(i)];
      ab += x * y, aa += x * x, bb += y * y;
    }
    sum += 1 - ab / std::sqrt(aa * bb);
  }
  return sum / static_cast<double>(a.rows);
}

}  // namespace mlxe::test
