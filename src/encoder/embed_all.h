// Vectors of all kinds of one run: bge-m3.
#pragma once

#include <span>
#include <string>

#include "encoder/text_runner.h"
#include "mlx_encoder/encoder.h"

namespace mlxe {

// Encoder::embed_all.
AllVectors embed_all(const TextRunner& runner, std::span<const std::string> texts,
                     const EmbedOptions& options);

}  // namespace mlxe
