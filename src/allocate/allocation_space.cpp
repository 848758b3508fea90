#include "allocate/allocation_space.h"

#include <algorithm>
#include <ranges>
#include <utility>

namespace mlxe::allocate {
namespace {

std::vector<std::vector<SchemeCost>> all_choices(const std::vector<TensorCosts>& costs, Dtype dtype) {
  std::vector<std::vector<SchemeCost>> all;
  for (const TensorCosts& t : costs) {
    std::vector<SchemeCost>& choices = all.emplace_back(t.measured);
    choices.insert(choices.end(), t.inferred.begin(), t.inferred.end());
    choices.push_back({.scheme = {.dtype = dtype},
                       .bytes = static_cast<uint64_t>(element_count(t.use.shape)) * size_of(dtype)});
  }
  return all;
}

Frontier frontier_of(const std::vector<std::vector<SchemeCost>>& schemes) {
  std::vector<std::vector<Choice>> choices;
  for (const auto& tensor : schemes) {
    choices.emplace_back();
    for (const SchemeCost& s : tensor) choices.back().push_back({s.bytes, s.cost});
  }
  return Frontier(choices);
}

// The scheme of most matrices, which config.json gives for the whole model; `none` if all are floats.
Scheme most_frequent(const std::map<std::string, Scheme>& schemes, const Scheme& none) {
  std::vector<std::pair<Scheme, int>> counts;
  for (const auto& [name, scheme] : schemes) {
    if (scheme.mode == Mode::none) continue;
    const auto it = std::ranges::find(counts, scheme, &std::pair<Scheme, int>::first);
    if (it == counts.end())
      counts.emplace_back(scheme, 1);
    else
      ++it->second;
  }
  return counts.empty() ? none : std::ranges::max_element(counts, {}, &std::pair<Scheme, int>::second)->first;
}

}  // namespace

double limited_figure(const ConversionPlan& plan, TargetKind kind) {
  return kind == TargetKind::size ? static_cast<double>(plan.predicted_bytes) : plan.bits_per_weight;
}

AllocationSpace::AllocationSpace(const PreparedConversion& base, std::vector<TensorCosts> costs,
                                 std::map<std::string, Scheme> fixed)
    : base_(base),
      costs_(std::move(costs)),
      fixed_(std::move(fixed)),
      choices_(all_choices(costs_, float_dtype())),
      frontier_(frontier_of(choices_)) {
  const size_t middle = frontier_.size() / 2;
  const Allocation allocation = at(middle);
  const ConversionPlan& plan = allocation.conversion.plan();
  parameters_ = plan.parameters;
  rest_bytes_ = plan.predicted_bytes - frontier_.total(middle).bytes;
  uint64_t payload = 0;
  for (const PlannedTensor& t : plan.tensors) payload += t.bytes;
  header_bytes_ = plan.predicted_bytes - payload;
}

Allocation AllocationSpace::at(size_t i) const {
  std::map<std::string, Scheme> schemes;
  const std::vector<size_t> chosen = frontier_.choices(i);
  for (size_t t = 0; t < costs_.size(); ++t) schemes[costs_[t].use.name] = choices_[t][chosen[t]].scheme;
  std::map<std::string, Scheme> all = schemes;
  all.insert(fixed_.begin(), fixed_.end());
  return make(most_frequent(all, base_.options().scheme), std::move(schemes), frontier_.total(i).cost);
}

std::optional<Allocation> AllocationSpace::one_width(const Target& target) const {
  const auto widths = of_one_width(costs_);
  for (const auto& [bits, tensors] : widths | std::views::reverse) {
    std::map<std::string, Scheme> schemes;
    double cost = 0;
    for (const auto& [name, choice] : tensors) {
      schemes[name] = choice.scheme;
      cost += choice.cost;
    }
    const Scheme scheme{Mode::affine, bits, kCostGroup, float_dtype()};
    Allocation allocation = make(scheme, std::move(schemes), cost);
    if (limited_figure(allocation.conversion.plan(), target.kind) <= target.value) return allocation;
  }
  return std::nullopt;
}

Allocation AllocationSpace::make(const Scheme& scheme, std::map<std::string, Scheme> schemes,
                                 double cost) const {
  std::map<std::string, Scheme> all = schemes;
  all.insert(fixed_.begin(), fixed_.end());
  return {std::move(schemes), cost, base_.with(scheme, std::move(all))};
}

}  // namespace mlxe::allocate
