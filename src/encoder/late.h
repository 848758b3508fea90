// Token vectors and their comparison, by a late interaction model (ColBERT).
#pragma once

#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "encoder/text_runner.h"
#include "mlx_encoder/encoder.h"

namespace mlxe {

// Whether the model's folder is one of late interaction.
bool is_late(const TextRunner& runner);

// The tokens of a text that have vectors.
struct TextTokens {
  std::vector<int32_t> ids;
  std::vector<float> vectors;  // row-major
};

// Reads them out of a run that gives Output::token_vectors.
class TokenReader {
 public:
  TokenReader(const TextRunner& runner, EmbedTask task);
  TextTokens read(const TextRunner::TextResult& r) const;

 private:
  size_t first_;               // of a text's tokens, the first with a vector
  std::set<int32_t> skipped_;  // tokens without one
};

TokenVectors joined(std::vector<TextTokens> texts, int64_t columns);

// Encoder::embed_tokens.
TokenVectors token_vectors(const TextRunner& runner, std::span<const std::string> texts,
                           const TokenVectorOptions& options);

// Encoder::relevance of such a model: the MaxSim of each pair of a query and a document.
std::vector<float> late_relevance(const TextRunner& runner, std::span<const TextInput> pairs,
                                  const RerankOptions& options);

}  // namespace mlxe
