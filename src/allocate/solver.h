// From a target to an allocation: costs, frontier, and the plan of each of its points.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "allocate/costs.h"
#include "allocate/frontier.h"
#include "mlx_encoder/allocate.h"

namespace mlxe::allocate {

// The matrices of a conversion an allocation may choose for, with all their choices, and what is fixed.
class Choices {
 public:
  // `costs`: of matrices the conversion leaves to the allocation. `fixed`: schemes of those it leaves to it
  // but no cost is known of (the output does not read them). Cost of a float: 0.
  Choices(const ConvertOptions& options, const std::vector<TensorCosts>& costs,
          const std::map<std::string, Scheme>& fixed);

  const Frontier& frontier() const noexcept { return frontier_; }
  // What all of the conversion but these matrices takes, as near as can be known before it is planned.
  uint64_t rest_bytes() const noexcept { return rest_bytes_; }
  uint64_t header_bytes() const noexcept { return header_bytes_; }
  uint64_t parameters() const noexcept { return parameters_; }

  // The options of the conversion that stores point `i` of the frontier.
  ConvertOptions options(size_t i) const;
  std::map<std::string, Scheme> schemes(size_t i) const;  // of the chosen-for matrices

 private:
  const ConvertOptions& options_;
  std::map<std::string, Scheme> fixed_;
  std::vector<std::string> names_;
  std::vector<std::vector<SchemeCost>> schemes_;
  Frontier frontier_;
  uint64_t rest_bytes_ = 0, header_bytes_ = 0, parameters_ = 0;
};

// A plan without its warnings, which are said when the conversion is made.
ConversionPlan quiet_plan(ConvertOptions options);

bool is_within(const ConversionPlan& plan, const Target& target);  // of a size or bits target

// The best point whose exact plan is within a size or bits target. Errors: usage (even the smallest is
// larger, or the largest far smaller: says the figures).
size_t solve_size(const Choices& choices, const Target& target, const Warning& warning);

// The smallest point that `measure` finds within `limit` (of cost or share of flips), by measuring few of
// them: costs are taken to grow as (sum of costs)^exponent, corrected by each measurement. `measure(i, last)`
// gives the figure of point i; `last(figure)` tells whether it would end the search there, so that the caller
// can keep what it made. Nothing if even the largest fails; `nearest` gets the best figure seen.
struct Search {
  double limit = 0;
  double exponent = 1;
  double factor = 1;  // first guess of figure / (sum of costs)^exponent
};
std::optional<size_t> search(
    const Frontier& frontier, const Search& how,
    const std::function<double(size_t i, const std::function<bool(double)>& last)>& measure,
    uint64_t rest_bytes, double& nearest);

}  // namespace mlxe::allocate
