#include "allocate/pareto_chart.h"

#include <fmt/format.h>

#include <map>

#include "base/wording.h"
#include "compare/chart.h"

namespace mlxe::allocate {
namespace {

constexpr size_t kPoints = 200;  // of the frontier, which may have thousands

}  // namespace

std::string pareto_chart(const Choices& choices, const std::vector<TensorCosts>& costs, const Trial& chosen,
                         const std::vector<Trial>& others) {
  const Frontier& frontier = choices.frontier();
  const double scale =
      chosen.predicted > 0 && chosen.measured.cost > 0 ? chosen.measured.cost / chosen.predicted : 1;
  const auto size = [&](uint64_t bytes) { return mib(bytes + choices.rest_bytes()); };
  LineChart chart{.title = fmt::format("Size against {}", chosen.measured.metric),
                  .x_label = "MiB of weight files",
                  .y_label = chosen.measured.metric,
                  .lines = {{"best allocations, predicted", {}},
                            {"one width for all, predicted", {}},
                            {"tried, measured", {}},
                            {"chosen, measured", {}}},
                  .y_scale = Scale::logarithmic};
  const size_t step = frontier.size() / kPoints + 1;
  for (size_t i = 0; i < frontier.size(); i += step)
    chart.lines[0].points.emplace_back(size(frontier.total(i).bytes), frontier.total(i).cost * scale);
  std::map<int, Choice> uniform;
  for (const TensorCosts& t : costs)
    for (const auto* list : {&t.measured, &t.inferred})
      for (const SchemeCost& c : *list) {
        if (c.scheme.group_size != t.measured[0].scheme.group_size) continue;
        uniform[c.scheme.bits].bytes += c.bytes;
        uniform[c.scheme.bits].cost += c.cost;
      }
  for (const auto& [bits, total] : uniform)
    chart.lines[1].points.emplace_back(size(total.bytes), total.cost * scale);
  // A point each, not a path.
  for (const Trial& t : others) {
    chart.lines[2].points.emplace_back(mib(t.bytes), t.measured.cost);
    chart.lines[2].points.emplace_back(mib(t.bytes), -1);  // not drawn on a logarithmic axis: a gap
  }
  if (others.empty()) chart.lines.erase(chart.lines.begin() + 2);
  chart.lines.back().points.emplace_back(mib(chosen.bytes), chosen.measured.cost);
  return to_svg(chart);
}

}  // namespace mlxe::allocate
