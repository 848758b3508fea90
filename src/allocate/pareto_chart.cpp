#include "allocate/pareto_chart.h"

#include <fmt/format.h>

#include "base/wording.h"
#include "report/chart.h"

namespace mlxe::allocate {
namespace {

constexpr size_t kPoints = 200;  // of the frontier, which may have thousands

}  // namespace

std::string pareto_chart(const AllocationSpace& space, const Trial& chosen,
                         const std::vector<Trial>& others) {
  const Frontier& frontier = space.frontier();
  const double scale =
      chosen.predicted > 0 && chosen.measured.cost > 0 ? chosen.measured.cost / chosen.predicted : 1;
  const auto size = [&](uint64_t bytes) { return mib(bytes + space.rest_bytes()); };
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
  for (const auto& [bits, tensors] : of_one_width(space.costs())) {
    Choice total;
    for (const auto& [name, c] : tensors) {
      total.bytes += c.bytes;
      total.cost += c.cost;
    }
    chart.lines[1].points.emplace_back(size(total.bytes), total.cost * scale);
  }
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
