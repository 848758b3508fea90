// Checks of the engine on either side of a comparison: repeatability, and independence from the batch.
#pragma once

#include <span>

#include "compare/sides.h"
#include "mlx_encoder/measurement.h"

namespace mlxe {

// Largest change of a text's output in a batch, relative to the largest value.
double batch_tolerance(const EngineInfo& engine);

// Runs both sides on a few of the sequences, of all lengths, and sets EngineChecks.
void check_engines(const Sides& sides, std::span<const Sequence> sequences, EngineChecks& original,
                   EngineChecks& quantized);

}  // namespace mlxe
