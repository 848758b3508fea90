// What each way of storing each matrix takes and costs.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "allocate/sensitivity_runner.h"
#include "mlx_encoder/types.h"

namespace mlxe::allocate {

inline constexpr int kCostGroup = 64;  // at which costs are measured unless somebody asks for another

struct SchemeCost {
  Scheme scheme;
  uint64_t bytes = 0;
  double cost = 0, flips = 0;
};

struct TensorCosts {
  TensorUse use;
  std::vector<SchemeCost> measured;  // one a width of CostRequest::bits
  std::vector<SchemeCost> inferred;  // the others
};

// By bits: of every tensor the choice of that width, at the group size its costs were measured at.
std::map<int, std::map<std::string, SchemeCost>> of_one_width(const std::vector<TensorCosts>& costs);

// The group size a row of this many columns gets when `wanted` is asked for; 0 where none fits.
int fitting_group(int wanted, int64_t columns) noexcept;

// Other widths and groups are inferred from the measured: the output's cost grows as the squared error of a
// matrix's values. Groups from the same width, widths from the last of `bits`. For large errors that is not
// so: a width between two measured ones lies on the power of the squared error that leads from one to the
// other.
struct CostRequest {
  std::vector<int> bits;  // measured; of several the narrowest first
  int group_size = kCostGroup;
  std::vector<int> other_bits, other_groups;
  Dtype dtype = Dtype::f16;
};

// Of those of `tensors` that some group fits; costs below 0, which rounding can make of nothing, are 0.
std::vector<TensorCosts> measure_costs(SensitivityRunner& runner, const std::vector<TensorUse>& tensors,
                                       const CostRequest& request, const Progress& progress);

// About `most_tokens` tokens of sequences, spread evenly over all.
std::vector<Sequence> spread(const std::vector<Sequence>& all, int64_t most_tokens);

// Below this, figures say more about the texts than about the model.
inline constexpr size_t kFewestTexts = 24;
inline constexpr int64_t kWantedTokens = 2048;

}  // namespace mlxe::allocate
