// Finds the point of the frontier for a target.
#pragma once

#include <functional>
#include <optional>

#include "allocate/allocation_space.h"
#include "mlx_encoder/allocate.h"

namespace mlxe::allocate {

// The best point whose exact plan meets a size or bits target. Errors: usage (even the smallest is larger, or even the
// largest is far smaller; gives the figures).
size_t solve_size(const AllocationSpace& space, const Target& target, const Warning& warning);

// Finds the smallest point whose measured figure (cost, or share of flips) is at most `limit`. Measures few points: it
// assumes that the figure is proportional to (sum of costs)^exponent, and corrects the factor after each measurement.
// `measure` returns the figure of a point. Points that meet the limit are measured in order of falling size. Returns
// none if even the largest point fails. `nearest` gets the best figure seen.
struct Search {
  double limit = 0;
  double exponent = 1;
  double factor = 1;  // first guess of figure / (sum of costs)^exponent
};
std::optional<size_t> search(const Frontier& frontier, const Search& how,
                             const std::function<double(size_t i)>& measure, uint64_t rest_bytes,
                             double& nearest);

}  // namespace mlxe::allocate
