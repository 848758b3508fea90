// Vectors of texts, and of chunks of texts.
#pragma once

#include <span>
#include <string>

#include "encoder/text_runner.h"
#include "mlx_encoder/encoder.h"

namespace mlxe {

// Encoder::embed and Encoder::embed_chunks.
Vectors embed_texts(const TextRunner& runner, std::span<const std::string> texts,
                    const EmbedOptions& options);
ChunkVectors embed_chunks(const TextRunner& runner, std::span<const std::string> texts,
                          const ChunkOptions& chunking, const EmbedOptions& options);

}  // namespace mlxe
