// The values of a conversion, a comparison and an evaluation, by the names of their gates.
#pragma once

#include "gates/measured.h"
#include "mlx_encoder/compare.h"
#include "mlx_encoder/convert.h"
#include "mlx_encoder/evaluate.h"

namespace mlxe {

Measured to_gate_values(const Conversion& conversion);
Measured to_gate_values(const Comparison& comparison);
Measured to_gate_values(const Evaluation& evaluation);

}  // namespace mlxe
