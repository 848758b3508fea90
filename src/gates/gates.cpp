#include "gates/gates.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "mlx_encoder/error.h"

namespace mlxe {

GateSetting parse_gate(std::string_view text) {
  const size_t dot = text.find('.'), equals = text.find('=');
  const auto wrong = [&](const char* why) {
    return Error(
        ErrorCode::usage,
        fmt::format("gate \"{}\": {}; write TENSOR.METRIC=LIMIT, for example pooled_vector.cosine=0.99, or "
                    "TENSOR.METRIC=off",
                    text, why));
  };
  if (dot == std::string_view::npos || equals == std::string_view::npos || dot > equals)
    throw wrong("not of the form tensor.metric=limit");
  GateSetting s = gate_setting(text.substr(0, equals), std::nullopt);
  const std::string_view limit = text.substr(equals + 1);
  if (limit == "off") return s;
  s.limit = finite_number(limit);
  if (!s.limit) throw wrong("the limit is not a number");
  return s;
}

GateSetting gate_setting(std::string_view name, std::optional<double> limit) {
  const size_t dot = name.find('.');
  return {std::string(name.substr(0, dot)), std::string(name.substr(dot + 1)), limit};
}

bool holds(const Gate& gate) {
  return gate.at_least() ? gate.value >= gate.limit : gate.value <= gate.limit;
}

void put_gate(std::vector<Gate>& gates, Gate gate) {
  const auto place = std::ranges::find(gates, gate.name(), &Gate::name);
  if (place != gates.end())
    *place = std::move(gate);
  else
    gates.push_back(std::move(gate));
}

void set_gate(std::vector<Gate>& gates, const GateSetting& setting) {
  Gate gate{.tensor = setting.tensor, .metric = setting.metric, .limit = setting.limit.value_or(0)};
  if (setting.limit)
    put_gate(gates, std::move(gate));
  else
    std::erase_if(gates, [&](const Gate& g) { return g.name() == gate.name(); });
}

void judge(std::vector<Gate>& gates, const GateValues& values) {
  for (Gate& gate : gates) {
    gate.value = values.at(gate.name());
    gate.passed = holds(gate);
  }
}

}  // namespace mlxe
