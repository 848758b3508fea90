// Choosing one of several ways to store each tensor: the multiple-choice knapsack, for all sizes at once.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace mlxe::allocate {

struct Choice {
  uint64_t bytes = 0;
  double cost = 0;  // not negative; costs of tensors add up
};

// Every sensible total: ascending in bytes, descending in cost; nothing cheaper is as small.
//
// Made tensor by tensor (Nemhauser and Ullmann, 1969): each choice of the next tensor is added to each total
// so far, and totals that another beats in both are dropped. Exact as long as no more than kMostTotals
// remain; beyond, the range of bytes is cut into that many equal parts, of each of which the cheapest stays,
// so that bytes are always those of a real choice.
class Frontier {
 public:
  static constexpr size_t kMostTotals = 8192;

  // tensors[i]: the choices of tensor i, at least one. Throws internal where one has none.
  explicit Frontier(const std::vector<std::vector<Choice>>& tensors);

  size_t size() const noexcept { return totals_.size(); }
  const Choice& total(size_t i) const { return totals_[i]; }
  // Of each tensor, the index of its choice in total i.
  std::vector<size_t> choices(size_t i) const;

  // The cheapest of at most `bytes`; nothing if even the smallest is larger.
  std::optional<size_t> within(uint64_t bytes) const;
  // The smallest that costs at most `cost`; the largest of all if none does.
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
