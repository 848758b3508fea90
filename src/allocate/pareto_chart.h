// Size against fidelity: what was possible, and what was chosen.
#pragma once

#include <string>
#include <vector>

#include "allocate/allocation_space.h"

namespace mlxe::allocate {

// The predicted lines are moved so that the best one meets `chosen`.
std::string pareto_chart(const AllocationSpace& space, const Trial& chosen, const std::vector<Trial>& others);

}  // namespace mlxe::allocate
