// Vectors of texts, and of chunks of texts.
#pragma once

#include <span>
#include <string>

#include "encoder/text_runner.h"
#include "mlx_encoder/encoder.h"

namespace mlxe {

// Encoder::dimension, Encoder::embed and Encoder::embed_chunks.
int64_t vector_dimension(const TextRunner& runner, const EmbedOptions& options);
Vectors embed_texts(const TextRunner& runner, std::span<const std::string> texts,
                    const EmbedOptions& options);
ChunkVectors embed_chunks(const TextRunner& runner, std::span<const std::string> texts,
                          const ChunkOptions& chunking, const EmbedOptions& options);

}  // namespace mlxe
