// What the JSON of several reports has in common; docs/json/compare.md describes it.
#pragma once

#include <nlohmann/json.hpp>
#include <span>

#include "mlx_encoder/difference.h"
#include "mlx_encoder/gate.h"

namespace mlxe {

// JSON has no NaN (a correlation with a constant): null.
nlohmann::ordered_json json_number(double value);
nlohmann::ordered_json vectors_json(const VectorSpace& space);
nlohmann::ordered_json gates_json(std::span<const Gate> gates);

}  // namespace mlxe
