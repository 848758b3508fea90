// The masks of texts, filled in by a masked language model.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "encoder/text_runner.h"
#include "mlx_encoder/encoder.h"

namespace mlxe {

// As texts write it. Empty if the model has no such head, or the tokenizer no such token.
std::string mask_token(const TextRunner& runner);

// Encoder::fill_mask.
std::vector<std::vector<FilledMask>> fill_masks(const TextRunner& runner, std::span<const std::string> texts,
                                                const FillMaskOptions& options);

}  // namespace mlxe
