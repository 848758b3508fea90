// A chart of size against cost: the frontier, the trials and the chosen allocation.
#pragma once

#include <string>
#include <vector>

#include "allocate/allocation_space.h"

namespace mlxe::allocate {

// The predicted lines are shifted so that the best one passes through `chosen`.
std::string pareto_chart(const AllocationSpace& space, const Trial& chosen, const std::vector<Trial>& others);

}  // namespace mlxe::allocate
