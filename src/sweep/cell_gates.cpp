#include "sweep/cell_gates.h"

#include "compare/gate_values.h"
#include "gates/gates.h"

namespace mlxe {
namespace {

GateValues values_of(const Comparison& c, const std::optional<Evaluation>& e) {
  GateValues values = to_gate_values(c).values;
  if (!e) return values;
  for (const auto& [name, value] : to_gate_values(*e).values) values[name] = value;
  return values;
}

}  // namespace

std::optional<double> flips_of(const Comparison& c, const std::optional<Evaluation>& e) {
  const GateValues values = values_of(c, e);
  const auto flips = values.find("labels.flips");
  return flips == values.end() ? std::nullopt : std::optional(flips->second);
}

std::vector<Gate> cell_gates(const Comparison& c, const std::optional<Evaluation>& e,
                             const SweepScheme& scheme, const SweepModel& model) {
  const GateValues values = values_of(c, e);
  std::vector<Gate> gates = c.gates;
  for (const auto* settings : {&scheme.gates, &model.gates})
    for (const GateSetting& s : *settings)
      if (values.contains(s.tensor + "." + s.metric)) set_gate(gates, s);
  judge(gates, values);
  return gates;
}

}  // namespace mlxe
