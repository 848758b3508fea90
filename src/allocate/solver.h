// From a target to a point of the frontier.
#pragma once

#include <functional>
#include <optional>

#include "allocate/allocation_space.h"
#include "mlx_encoder/allocate.h"

namespace mlxe::allocate {

// The best point whose exact plan is within a size or bits target. Errors: usage (even the smallest is
// larger, or the largest far smaller: says the figures).
size_t solve_size(const AllocationSpace& space, const Target& target, const Warning& warning);

// The smallest point that `measure` finds within `limit` (of cost or share of flips), by measuring few of
// them: costs are taken to grow as (sum of costs)^exponent, corrected by each measurement. `measure` gives the
// figure of a point; of those within the limit each is smaller than the one before. Nothing if even the
// largest fails; `nearest` gets the best figure seen.
struct Search {
  double limit = 0;
  double exponent = 1;
  double factor = 1;  // first guess of figure / (sum of costs)^exponent
};
std::optional<size_t> search(const Frontier& frontier, const Search& how,
                             const std::function<double(size_t i)>& measure, uint64_t rest_bytes,
                             double& nearest);

}  // namespace mlxe::allocate
