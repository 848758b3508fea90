#include "report/json_parts.h"

#include <cmath>

namespace mlxe {

nlohmann::ordered_json json_number(double value) {
  return std::isfinite(value) ? nlohmann::ordered_json(value) : nlohmann::ordered_json(nullptr);
}

nlohmann::ordered_json vectors_json(const VectorSpace& v) {
  return {{"texts", v.texts},
          {"mean_cosine", json_number(v.mean_cosine)},
          {"relative_error", json_number(v.relative_error)},
          {"compared", v.compared},
          {"neighbours", v.neighbours},
          {"neighbours_kept", json_number(v.neighbours_kept)}};
}

nlohmann::ordered_json gates_json(std::span<const Gate> gates) {
  auto list = nlohmann::ordered_json::array();
  for (const Gate& g : gates)
    list.push_back({{"name", g.name()},
                    {"tensor", g.tensor},
                    {"metric", g.metric},
                    {"at_least", g.at_least()},
                    {"limit", g.limit},
                    {"value", json_number(g.value)},
                    {"passed", g.passed},
                    {"where", g.where},
                    {"basis", g.basis}});
  return list;
}

}  // namespace mlxe
