#include "allocate/costs.h"

#include <algorithm>
#include <cmath>

namespace mlxe::allocate {

std::map<int, std::map<std::string, SchemeCost>> of_one_width(const std::vector<TensorCosts>& costs) {
  std::map<int, std::map<std::string, SchemeCost>> widths;
  for (const TensorCosts& t : costs)
    for (const auto* list : {&t.measured, &t.inferred})
      for (const SchemeCost& c : *list)
        if (c.scheme.group_size == t.measured[0].scheme.group_size) widths[c.scheme.bits][t.use.name] = c;
  return widths;
}

int fitting_group(int wanted, int64_t columns) noexcept {
  for (int group = wanted; group >= 32; group /= 2)
    if (columns % group == 0) return group;
  return 0;
}

namespace {

struct Point {
  double error, cost;  // squared error of a matrix's values; cost at the output
};

// Infers a cost as described at CostRequest. `points`: of one matrix, in order of falling error.
double cost_at(double error, const std::vector<Point>& points) {
  const Point& last = points.back();
  if (!(last.error > 0)) return last.cost;
  for (size_t i = 1; i < points.size(); ++i) {
    const Point &a = points[i - 1], &b = points[i];
    if (error < b.error || error > a.error || !(b.cost > 0) || !(a.cost > b.cost) || !(b.error > 0)) continue;
    const double power = std::log(a.cost / b.cost) / std::log(a.error / b.error);
    return b.cost * std::pow(error / b.error, power);
  }
  return last.cost * error / last.error;
}

}  // namespace

std::vector<TensorCosts> measure_costs(SensitivityRunner& runner, const std::vector<TensorUse>& tensors,
                                       const CostRequest& request, const Progress& progress) {
  // A change in an earlier layer runs more layers again.
  const auto work = [&](const TensorUse& t) {
    return static_cast<uint64_t>(runner.stages() - t.stage) * request.bits.size();
  };
  uint64_t done = 0, total = 0;
  for (const TensorUse& t : tensors) total += work(t);

  std::vector<TensorCosts> result;
  for (const TensorUse& t : tensors) {
    const int group = fitting_group(request.group_size, t.shape[1]);
    if (progress) progress("measuring", done, total);
    done += work(t);
    if (group == 0) continue;
    TensorCosts& costs = result.emplace_back(TensorCosts{.use = t, .measured = {}, .inferred = {}});
    std::vector<Point> points;  // measured
    for (const int bits : request.bits) {
      const Scheme scheme{Mode::affine, bits, group, request.dtype};
      SensitivityRunner::Rounded rounded = runner.round(t, scheme);
      const OutputCost found = runner.cost({{t.name, std::move(rounded.values)}});
      costs.measured.push_back(
          {scheme, stored_bytes(scheme, t.shape[0], t.shape[1]), std::max(0.0, found.cost), found.flips});
      points.push_back({rounded.mean_squared_error, costs.measured.back().cost});
    }
    const auto infer = [&](const SchemeCost& from, Scheme scheme, auto&& cost_of) {
      SchemeCost inferred = from;
      inferred.scheme = scheme;
      inferred.bytes = stored_bytes(scheme, t.shape[0], t.shape[1]);
      inferred.cost = cost_of(runner.round(t, scheme).mean_squared_error);
      costs.inferred.push_back(inferred);
    };
    const auto infer_groups = [&](const SchemeCost& from, double error) {
      for (const int other : request.other_groups)
        if (other != group && t.shape[1] % other == 0)
          infer(from, {Mode::affine, from.scheme.bits, other, request.dtype},
                [&](double of_other) { return error > 0 ? from.cost * of_other / error : from.cost; });
    };
    for (size_t i = 0; i < points.size(); ++i) infer_groups(costs.measured[i], points[i].error);
    for (const int bits : request.other_bits) {
      double error = 0;
      infer(costs.measured.back(), {Mode::affine, bits, group, request.dtype}, [&](double of_width) {
        error = of_width;
        return cost_at(error, points);
      });
      infer_groups(SchemeCost(costs.inferred.back()), error);
    }
  }
  if (progress) progress("measuring", total, total);
  return result;
}

std::vector<Sequence> spread(const std::vector<Sequence>& all, int64_t most_tokens) {
  int64_t tokens = 0;
  for (const Sequence& s : all) tokens += static_cast<int64_t>(s.ids.size());
  size_t count = all.size();
  if (tokens > most_tokens)
    count = std::max<size_t>(1, static_cast<size_t>(static_cast<int64_t>(count) * most_tokens / tokens));
  std::vector<Sequence> some;
  for (size_t i = 0; i < count; ++i) some.push_back(all[i * all.size() / count]);
  return some;
}

}  // namespace mlxe::allocate
