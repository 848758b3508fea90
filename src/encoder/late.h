// Token vectors and their comparison, by a late interaction model (ColBERT).
#pragma once

#include <span>
#include <string>
#include <vector>

#include "encoder/text_runner.h"
#include "mlx_encoder/encoder.h"

namespace mlxe {

// Whether the model's folder is one of late interaction.
bool is_late(const TextRunner& runner);

// Encoder::embed_tokens.
TokenVectors token_vectors(const TextRunner& runner, std::span<const std::string> texts,
                           const TokenVectorOptions& options);

// Encoder::relevance of such a model: the MaxSim of each pair of a query and a document.
std::vector<float> late_relevance(const TextRunner& runner, std::span<const TextInput> pairs,
                                  const RerankOptions& options);

}  // namespace mlxe
