// For tests that search the largest error.
#pragma once

#include <cmath>

namespace mlxe::test {

// The larger of two errors, NaN if either is NaN. std::max(worst, NaN) is worst, so a result that is NaN would pass.
inline double larger_error(double worst, double error) {
  return std::isnan(worst) || worst >= error ? worst : error;
}

}  // namespace mlxe::test
