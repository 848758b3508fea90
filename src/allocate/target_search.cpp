#include "allocate/target_search.h"

#include <fmt/format.h>

#include <cmath>
#include <map>
#include <optional>

#include "allocate/solver.h"
#include "mlx_encoder/error.h"

namespace mlxe::allocate {
namespace {

// Cost of all matrices together / (sum of their costs)^exponent, all at 4 bits; 1 if unknown.
double whole_factor(SensitivityRunner& runner, const std::vector<TensorCosts>& rounded, TargetKind kind,
                    double exponent) {
  std::map<std::string, std::vector<float>> all;
  double sum = 0;
  for (const TensorCosts& t : rounded)
    for (const SchemeCost& m : t.measured)
      if (m.scheme.bits == 4) {
        all[t.use.name] = runner.round(t.use, m.scheme).values;
        sum += m.cost;
      }
  const OutputCost whole = runner.cost(all);
  const double found = kind == TargetKind::flips ? whole.flips : whole.cost;
  return found > 0 && sum > 0 ? found / std::pow(sum, exponent) : 1;
}

}  // namespace

TrialConversion TargetSearch::by_size(Labels labels, const Warning& warning) {
  const size_t point = solve_size(space_, target_, warning);
  std::optional<Allocation> uniform;
  if (labels == Labels::some) uniform = space_.one_width(target_);
  if (!uniform) return make(space_.at(point));
  TrialConversion even = make(*std::move(uniform)), mixed = make(space_.at(point));
  one_width_ = !(trials_.trial(mixed).measured.cost <= trials_.trial(even).measured.cost);
  return one_width_ ? std::move(even) : std::move(mixed);
}

TrialConversion TargetSearch::by_measuring(double vector_spread, SensitivityRunner& runner,
                                           const std::vector<TensorCosts>& rounded) {
  const bool flips = target_.kind == TargetKind::flips;
  const bool relative = target_.kind == TargetKind::relative_error;
  // A relative error is a cost divided by the spread of the original's vectors, which is the same for all trials.
  const double unit = relative ? vector_spread : 1;
  if (relative && !(unit > 0))
    throw Error(
        ErrorCode::usage,
        fmt::format("{} {}: the model gives every held-out text the same vector; give different texts",
                    option_of(target_.kind), target_.text));
  Search how{.limit = unit * (target_.kind == TargetKind::cosine ? 1 - target_.value : target_.value),
             .exponent = flips ? 0.5 : 1.0};
  how.factor = whole_factor(runner, rounded, target_.kind, how.exponent);
  std::optional<TrialConversion> smallest;  // that meets the target
  double nearest = 0;
  const auto measure = [&](size_t i) {
    TrialConversion made = make(space_.at(i));
    const HeldOut& m = trials_.trial(made).measured;
    const double figure = flips ? m.flips : m.cost;
    if (figure <= how.limit) smallest.emplace(std::move(made));
    return figure;
  };
  search(space_.frontier(), how, measure, space_.rest_bytes(), nearest);
  if (smallest) return *std::move(smallest);
  const Dtype dtype = space_.float_dtype();
  throw Error(
      ErrorCode::usage,
      fmt::format("{} {}: not met even with all matrices as {}; the nearest is {}, nothing was written",
                  option_of(target_.kind), target_.text, to_string(Scheme{.dtype = dtype}),
                  flips      ? fmt::format("{:.3f} %", 100 * nearest)
                  : relative ? fmt::format("{:.6f}", nearest / unit)
                             : fmt::format("{:.6f}", 1 - nearest)));
}

}  // namespace mlxe::allocate
