// The allocations of a model on the frontier of size and cost. Each is a conversion that can be written.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "allocate/costs.h"
#include "allocate/frontier.h"
#include "convert/prepared_conversion.h"
#include "mlx_encoder/allocate.h"

namespace mlxe::allocate {

struct Allocation {
  std::map<std::string, Scheme> schemes;  // of the matrices whose bits are chosen
  double cost = 0;                        // predicted: the sum of the matrices' costs
  PreparedConversion conversion;
};

// The value that a size or bits target limits: bytes of the weight files, or bits a weight.
double limited_figure(const ConversionPlan& plan, TargetKind kind);

class AllocationSpace {
 public:
  // `base` must outlive this. `costs`: of the matrices whose bits the allocation chooses. `fixed`: schemes of the
  // other matrices that the options leave open; they have no cost, because the output does not read them. A float
  // matrix costs 0.
  AllocationSpace(const PreparedConversion& base, std::vector<TensorCosts> costs,
                  std::map<std::string, Scheme> fixed);

  const std::vector<TensorCosts>& costs() const noexcept { return costs_; }
  const Frontier& frontier() const noexcept { return frontier_; }
  // Bytes of everything but these matrices, estimated: only a plan gives the exact bytes.
  uint64_t rest_bytes() const noexcept { return rest_bytes_; }
  uint64_t header_bytes() const noexcept { return header_bytes_; }
  uint64_t parameters() const noexcept { return parameters_; }
  Dtype float_dtype() const noexcept { return base_.options().scheme.dtype; }

  // Point `i` of the frontier.
  Allocation at(size_t i) const;
  // The widest single width for all matrices that meets a size or bits target; none if even the narrowest is larger.
  std::optional<Allocation> one_width(const Target& target) const;

 private:
  Allocation make(const Scheme& scheme, std::map<std::string, Scheme> schemes, double cost) const;

  const PreparedConversion& base_;
  std::vector<TensorCosts> costs_;
  std::map<std::string, Scheme> fixed_;
  std::vector<std::vector<SchemeCost>> choices_;  // by matrix
  Frontier frontier_;
  uint64_t rest_bytes_ = 0, header_bytes_ = 0, parameters_ = 0;
};

}  // namespace mlxe::allocate
