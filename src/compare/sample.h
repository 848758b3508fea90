// Of repeated measurements.
#pragma once

#include <vector>

namespace mlxe {

// Linear between the sorted values, as numpy.percentile. `values` holds at least one.
double percentile(std::vector<double> values, double percent);

}  // namespace mlxe
