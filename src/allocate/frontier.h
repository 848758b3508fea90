// Chooses one of several schemes for each tensor: the multiple-choice knapsack, for all sizes at once.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace mlxe::allocate {

struct Choice {
  uint64_t bytes = 0;
  double cost = 0;  // not negative; costs of tensors add up
};

// The Pareto-optimal totals: ascending in bytes, descending in cost. For each, no other total is smaller and as cheap.
//
// Computed tensor by tensor (Nemhauser and Ullmann, 1969): each choice of the next tensor is added to each total so
// far, and dominated totals are dropped. Exact while at most kMostTotals remain. If there are more, the range of bytes
// is split into that many equal intervals, and only the cheapest total of each stays. Bytes are thus always those of a
// real choice.
class Frontier {
 public:
  static constexpr size_t kMostTotals = 8192;

  // tensors[i]: the choices of tensor i, at least one. Throws internal if one has none.
  explicit Frontier(const std::vector<std::vector<Choice>>& tensors);

  size_t size() const noexcept { return totals_.size(); }
  const Choice& total(size_t i) const { return totals_[i]; }
  // For each tensor, the index of its choice in total i.
  std::vector<size_t> choices(size_t i) const;

  // The cheapest total of at most `bytes`; none if even the smallest is larger.
  std::optional<size_t> within(uint64_t bytes) const;
  // The smallest total that costs at most `cost`; the largest if none does.
  size_t costing(double cost) const;

 private:
  struct Step {
    uint32_t before;  // index into the totals without this tensor
    uint32_t choice;
  };
  std::vector<Choice> totals_;
  std::vector<std::vector<Step>> steps_;  // by tensor, then by total
};

}  // namespace mlxe::allocate
