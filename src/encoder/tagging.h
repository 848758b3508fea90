// Scores of tokens and of words, by a token classifier.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "encoder/text_runner.h"
#include "mlx_encoder/encoder.h"

namespace mlxe {

// Encoder::score_tokens.
std::vector<std::vector<TokenScores>> score_tokens(const TextRunner& runner,
                                                   std::span<const std::string> texts,
                                                   const TagOptions& options);

// Encoder::score_words.
std::vector<std::vector<TokenScores>> score_words(const TextRunner& runner,
                                                  std::span<const std::vector<std::string>> sentences,
                                                  const ClassifyOptions& options);

}  // namespace mlxe
