#include "allocate/solver.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/wording.h"
#include "mlx_encoder/error.h"

namespace mlxe::allocate {
namespace {

constexpr double kTolerance = 0.01;  // of a target: what counts as met

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

double figure(const ConversionPlan& plan, TargetKind kind) {
  return kind == TargetKind::size ? static_cast<double>(plan.predicted_bytes) : plan.bits_per_weight;
}

std::string worded(double figure, TargetKind kind) {
  return kind == TargetKind::size ? fmt::format("{:.0f} bytes ({})", figure, human_bytes(figure))
                                  : fmt::format("{:.3f} bits a weight", figure);
}

}  // namespace

Choices::Choices(const ConvertOptions& options, const std::vector<TensorCosts>& costs,
                 const std::map<std::string, Scheme>& fixed)
    : options_(options),
      fixed_(fixed),
      schemes_(all_choices(costs, options.scheme.dtype)),
      frontier_(frontier_of(schemes_)) {
  for (const TensorCosts& t : costs) names_.push_back(t.use.name);
  const size_t middle = frontier_.size() / 2;
  const ConversionPlan plan = quiet_plan(this->options(middle));
  parameters_ = plan.parameters;
  rest_bytes_ = plan.predicted_bytes - frontier_.total(middle).bytes;
  uint64_t payload = 0;
  for (const PlannedTensor& t : plan.tensors) payload += t.bytes;
  header_bytes_ = plan.predicted_bytes - payload;
}

std::map<std::string, Scheme> Choices::schemes(size_t i) const {
  std::map<std::string, Scheme> result;
  const std::vector<size_t> chosen = frontier_.choices(i);
  for (size_t t = 0; t < names_.size(); ++t) result[names_[t]] = schemes_[t][chosen[t]].scheme;
  return result;
}

ConvertOptions Choices::options(size_t i) const {
  ConvertOptions o = options_;
  o.allocation = schemes(i);
  o.allocation.insert(fixed_.begin(), fixed_.end());
  // What config.json gives for the whole model: what most matrices have.
  std::vector<std::pair<Scheme, int>> counts;
  for (const auto& [name, scheme] : o.allocation) {
    if (scheme.mode == Mode::none) continue;
    const auto it = std::ranges::find(counts, scheme, &std::pair<Scheme, int>::first);
    if (it == counts.end())
      counts.emplace_back(scheme, 1);
    else
      ++it->second;
  }
  if (!counts.empty())
    o.scheme = std::ranges::max_element(counts, {}, &std::pair<Scheme, int>::second)->first;
  return o;
}

ConversionPlan quiet_plan(ConvertOptions options) {
  options.warning = {};
  options.strict = false;
  return plan_conversion(options);
}

bool is_within(const ConversionPlan& plan, const Target& target) {
  return figure(plan, target.kind) <= target.value;
}

size_t solve_size(const Choices& choices, const Target& target, const Warning& warning) {
  const Frontier& frontier = choices.frontier();
  const auto fail = [&](const char* what, size_t nearest) {
    throw Error(ErrorCode::usage,
                fmt::format("{} {}: {} is {}; nothing was written", option_of(target.kind), target.text, what,
                            worded(figure(quiet_plan(choices.options(nearest)), target.kind), target.kind)));
  };
  const auto bytes = target.kind == TargetKind::size
                         ? target.value
                         : target.value * static_cast<double>(choices.parameters()) / 8 +
                               static_cast<double>(choices.header_bytes());
  double budget = bytes - static_cast<double>(choices.rest_bytes());
  // Headers differ by a few bytes from plan to plan, so the exact plan has the last word.
  for (;;) {
    const std::optional<size_t> point =
        budget < 0 ? std::nullopt : frontier.within(static_cast<uint64_t>(budget));
    if (!point) fail("the smallest this model can be", 0);
    const double found = figure(quiet_plan(choices.options(*point)), target.kind);
    if (found > target.value) {
      budget = std::min(budget, static_cast<double>(frontier.total(*point).bytes)) - 1;
      continue;
    }
    const bool largest = *point + 1 == frontier.size();
    if (largest && found < (1 - kTolerance) * target.value)
      fail("the largest, with floats wherever bits are chosen,", *point);
    if (found < (1 - kTolerance) * target.value && warning)
      warning(fmt::format("{} {}: no allocation comes nearer from below than {}", option_of(target.kind),
                          target.text, worded(found, target.kind)));
    return *point;
  }
}

std::optional<size_t> search(
    const Frontier& frontier, const Search& how,
    const std::function<double(size_t i, const std::function<bool(double)>& last)>& measure,
    uint64_t rest_bytes, double& nearest) {
  double factor = how.factor;
  const auto guess = [&] { return frontier.costing(std::pow(how.limit / factor, 1 / how.exponent)); };
  const auto bytes = [&](size_t i) { return static_cast<double>(frontier.total(i).bytes + rest_bytes); };
  // The largest known to fail and the smallest known to pass, or one beyond either end.
  std::optional<size_t> failed, passed;
  nearest = INFINITY;
  bool ended = false;
  constexpr int kMostTrials = 12;
  for (int trial = 0; trial < kMostTrials && !ended; ++trial) {
    const size_t lowest = failed ? *failed + 1 : 0, highest = passed ? *passed - 1 : frontier.size() - 1;
    // Both ends known: no more than the tolerance lies between them.
    if (passed && (*passed == lowest || bytes(*passed) - bytes(lowest) < kTolerance / 2 * bytes(*passed)))
      break;
    if (!passed && lowest == frontier.size()) break;
    size_t i = std::clamp(guess(), lowest, highest);
    // Where the model of the costs does not help, halves do.
    if (trial >= 4 && passed) i = lowest + (highest - lowest) / 2;
    if (trial >= 4 && !passed) i = (lowest + frontier.size() - 1 + 1) / 2;
    const double sum = std::pow(frontier.total(i).cost, how.exponent);
    const auto learn = [&](double found) {
      if (found > 0 && sum > 0) factor = found / sum;
    };
    const auto last = [&](double found) {
      if (!(found <= how.limit)) return false;
      learn(found);
      const size_t next = std::clamp(guess(), lowest, i);
      return i == lowest || bytes(i) - bytes(next) < kTolerance * bytes(i) / 2;
    };
    const double found = measure(i, last);
    ended = last(found);
    nearest = std::min(nearest, found);
    learn(found);
    if (found <= how.limit)
      passed = i;
    else
      failed = i;
  }
  return passed;
}

}  // namespace mlxe::allocate
