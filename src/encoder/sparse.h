// The sparse vectors of texts, by a masked language model with SPLADE's pooling.
#pragma once

#include <span>
#include <string>

#include "encoder/text_runner.h"
#include "mlx_encoder/encoder.h"

namespace mlxe {

// Encoder::embed_sparse.
SparseVectors sparse_vectors(const TextRunner& runner, std::span<const std::string> texts,
                             const SparseOptions& options);

}  // namespace mlxe
