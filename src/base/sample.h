// Time and percentiles of repeated measurements.
#pragma once

#include <chrono>
#include <vector>

namespace mlxe {

double milliseconds_since(std::chrono::steady_clock::time_point start);

// Interpolated linearly between the sorted values, as in numpy.percentile. `values` is not empty.
double percentile(std::vector<double> values, double percent);

}  // namespace mlxe
