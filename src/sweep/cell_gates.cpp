#include "sweep/cell_gates.h"

#include <algorithm>
#include <string>

#include "compare/gate_values.h"

namespace mlxe {
namespace {

GateValues values_of(const Comparison& c, const std::optional<Evaluation>& e) {
  GateValues values = measured(c).values;
  if (!e) return values;
  for (const TaskFigure& f : e->figures)
    if (f.original) values["task." + f.metric + "_drop"] = *f.original - f.value;
  if (const auto flips = flips_of(c, e)) values["task.flips"] = *flips;
  return values;
}

void set(std::vector<Gate>& gates, const GateSetting& setting, double value) {
  const auto same = [&](const Gate& g) { return g.tensor == setting.tensor && g.metric == setting.metric; };
  std::erase_if(gates, same);
  if (!setting.limit) return;
  Gate gate{.tensor = setting.tensor, .metric = setting.metric, .limit = *setting.limit, .value = value};
  gate.passed = gate.at_least() ? value >= gate.limit : value <= gate.limit;  // NaN: no
  gates.push_back(std::move(gate));
}

}  // namespace

std::optional<double> flips_of(const Comparison& c, const std::optional<Evaluation>& e) {
  if (e && e->mcnemar)
    return static_cast<double>(e->flips.size()) / static_cast<double>(e->words > 0 ? e->words : e->items);
  if (c.labels) return static_cast<double>(c.labels->flips) / static_cast<double>(c.labels->texts);
  return std::nullopt;
}

std::vector<Gate> cell_gates(const Comparison& c, const std::optional<Evaluation>& e,
                             const SweepScheme& scheme, const SweepModel& model) {
  const GateValues values = values_of(c, e);
  std::vector<Gate> gates = c.gates;
  for (const auto* settings : {&scheme.gates, &model.gates})
    for (const GateSetting& s : *settings)
      if (const auto value = values.find(s.tensor + "." + s.metric); value != values.end())
        set(gates, s, value->second);
  return gates;
}

}  // namespace mlxe
