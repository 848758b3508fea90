// For tests that search the largest error.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>

namespace mlxe::test {

// The larger of two errors, NaN if either is NaN. std::max(worst, NaN) is worst, so a result that is NaN would pass.
inline double larger_error(double worst, double error) {
  return std::isnan(worst) || worst >= error ? worst : error;
}

// The largest difference of two lists of values, as a part of the largest value of `expected`. 1 if they have different
// lengths, NaN if a value is NaN.
inline double relative_error(std::span<const float> values, std::span<const float> expected) {
  if (values.size() != expected.size()) return 1;
  double largest = 0, error = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    largest = std::max(largest, static_cast<double>(std::abs(expected[i])));
    error = larger_error(error, std::abs(static_cast<double>(values[i]) - expected[i]));
  }
  return error / largest;
}

}  // namespace mlxe::test
