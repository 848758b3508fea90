// The choices of prompts, rated by a model.
#pragma once

#include <span>
#include <vector>

#include "encoder/text_runner.h"
#include "mlx_encoder/encoder.h"

namespace mlxe {

// Encoder::choose.
std::vector<Prediction> rate_choices(const TextRunner& runner, std::span<const ChoiceInput> prompts,
                                     const ClassifyOptions& options);

}  // namespace mlxe
