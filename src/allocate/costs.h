// Bytes and cost of each matrix in each scheme.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "allocate/sensitivity_runner.h"
#include "mlx_encoder/types.h"

namespace mlxe::allocate {

inline constexpr int kCostGroup = 64;  // default group size for measuring costs

struct SchemeCost {
  Scheme scheme;
  uint64_t bytes = 0;
  double cost = 0, flips = 0;
};

struct TensorCosts {
  TensorUse use;
  std::vector<SchemeCost> measured;  // one for each width of CostRequest::bits
  std::vector<SchemeCost> inferred;  // the others
};

// For each number of bits: every tensor's cost at that width, with the group size of the measurement.
std::map<int, std::map<std::string, SchemeCost>> of_one_width(const std::vector<TensorCosts>& costs);

// The group size for a row of `columns` values: `wanted`, or the next smaller one that fits; 0 if none fits.
int fitting_group(int wanted, int64_t columns) noexcept;

// Costs of other widths and groups are inferred. Other groups: cost is proportional to the squared error of the
// matrix's values, at the same width. A width between two measured widths: cost is a power of the squared error,
// fitted to both (for large errors, cost is not proportional). Other widths: proportional, from the last of `bits`.
struct CostRequest {
  std::vector<int> bits;  // measured; narrowest first
  int group_size = kCostGroup;
  std::vector<int> other_bits, other_groups;
  Dtype dtype = Dtype::f16;
};

// Costs of the `tensors` that a group size fits. Negative costs (rounding errors around 0) become 0.
std::vector<TensorCosts> measure_costs(SensitivityRunner& runner, const std::vector<TensorUse>& tensors,
                                       const CostRequest& request, const Progress& progress);

// Sequences with about `most_tokens` tokens, spread evenly over all.
std::vector<Sequence> spread(const std::vector<Sequence>& all, int64_t most_tokens);

// With fewer texts or tokens, the figures depend more on the texts than on the model.
inline constexpr size_t kFewestTexts = 24;
inline constexpr int64_t kWantedTokens = 2048;

}  // namespace mlxe::allocate
