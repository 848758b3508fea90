#include "compare/default_gates.h"

#include <fmt/format.h>

#include <string>

#include "compare/gate_values.h"
#include "gates/limits.h"
#include "mlx_encoder/error.h"

namespace mlxe {

std::vector<Gate> apply_gates(const Comparison& c, const GateLimits& limits,
                              std::span<const GateSetting> settings) {
  const GateValues values = to_gate_values(c).values;
  std::vector<Gate> gates;
  const auto set = [&](const std::string& tensor, const std::string& metric, double limit) {
    set_gate(gates, {tensor, metric, limit});
  };
  set("last_hidden_state", "cosine", *limits.cosine);
  for (const char* tensor : {"pooled_vector", "probabilities"}) {
    if (!values.contains(std::string(tensor) + ".mse")) continue;
    set(tensor, "cosine", *limits.cosine);
    set(tensor, "mse", limits.mse);
    set(tensor, "max_abs", limits.max_abs);
  }
  if (c.vectors && c.vectors->texts >= kTextsForRelativeError)
    set("pooled_vector", "relative_error", *limits.relative_error);
  if (c.vectors && c.vectors->texts >= kTextsForNeighbours)
    set("pooled_vector", "neighbours_kept", *limits.neighbours_kept);

  for (const auto& [side, model] :
       {std::pair("original", &c.original), std::pair("quantized", &c.quantized)}) {
    set(side, "repeat_difference", 0);
    set(side, "batch_difference", model->checks.batch_tolerance);
  }

  for (const GateSetting& s : settings) {
    const std::string name = s.tensor + "." + s.metric;
    if (!values.contains(name)) {
      std::string known;
      for (const auto& [key, value] : values)  // those of single layers would be dozens
        if (!key.starts_with("layer_")) known += (known.empty() ? "" : ", ") + key;
      throw Error(ErrorCode::usage,
                  fmt::format("gate {}: not measured by this comparison, expected one of {}", name, known));
    }
    set_gate(gates, s);
  }
  judge(gates, values);
  return gates;
}

}  // namespace mlxe
