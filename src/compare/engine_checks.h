// Whether the engine on either side of a comparison can be relied on.
#pragma once

#include <span>

#include "compare/sides.h"
#include "mlx_encoder/measurement.h"

namespace mlxe {

// How much of the largest value a text's output may change among others.
double batch_tolerance(const EngineInfo& engine);

// Tries both sides on a few of the sequences, of all lengths, and fills in what was found.
void check_engines(const Sides& sides, std::span<const Sequence> sequences, EngineChecks& original,
                   EngineChecks& quantized);

}  // namespace mlxe
