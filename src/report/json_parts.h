// JSON objects that several reports share; docs/json/compare.md describes them.
#pragma once

#include <nlohmann/json.hpp>
#include <span>

#include "mlx_encoder/difference.h"
#include "mlx_encoder/gate.h"

namespace mlxe {

// null for NaN (a correlation with a constant), which JSON lacks.
nlohmann::ordered_json json_number(double value);
nlohmann::ordered_json vectors_json(const VectorSpace& space);
nlohmann::ordered_json gates_json(std::span<const Gate> gates);

}  // namespace mlxe
