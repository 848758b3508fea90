// What convert, compare and evaluate found, by the names gates have.
#pragma once

#include "gates/measured.h"
#include "mlx_encoder/compare.h"
#include "mlx_encoder/convert.h"
#include "mlx_encoder/evaluate.h"

namespace mlxe {

Measured measured(const Conversion& conversion);
Measured measured(const Comparison& comparison);
Measured measured(const Evaluation& evaluation);

}  // namespace mlxe
