// Of repeated measurements.
#pragma once

#include <chrono>
#include <vector>

namespace mlxe {

double milliseconds_since(std::chrono::steady_clock::time_point start);

// Linear between the sorted values, as numpy.percentile. `values` holds at least one.
double percentile(std::vector<double> values, double percent);

}  // namespace mlxe
