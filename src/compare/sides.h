// The models of a comparison, ready to run: the original, the converted one, and that again as users run it.
#pragma once

#include <array>
#include <filesystem>
#include <optional>
#include <span>

#include "compare/sequences.h"
#include "encoder/text_runner.h"
#include "mlx_encoder/compare.h"

namespace mlxe {

// `count` rows from `first` on.
std::span<const float> rows_of(const Matrix& matrix, int64_t first, int64_t count = 1);

class Sides {
 public:
  // Errors: those of Encoder::load; unsupported (folders of different models).
  Sides(const std::filesystem::path& original, const std::filesystem::path& quantized,
        const CompareOptions& options, const Warning& warning);

  const TextRunner& original() const { return original_; }
  const TextRunner& quantized() const { return quantized_; }
  const TextRunner* fast() const { return fast_ ? &*fast_ : nullptr; }  // nullptr: float32 is the run mode

  Output seen() const { return seen_; }  // what users see: logits of both sides, or sentence vectors
  bool by_token() const { return entry(seen_).rows == OutputRows::tokens; }
  bool classifier() const { return seen_ != Output::sentence; }  // has logits: of texts or of tokens
  bool classifies_texts() const { return seen_ == Output::text_logits; }
  bool classifies_tokens() const { return seen_ == Output::token_logits; }
  Pairs pairs() const { return pairs_of(seen_); }
  ProblemType problem() const { return original_.model().problem_type; }  // of the logits

  // Two requests, one a side, for all layers and what users see.
  std::array<RunRequest, 2> requests() const;

  // What users see of text `position` of the batch: one row; of a head of tokens one row a token.
  std::span<const float> output_of(const RunResult& result, const Batch& batch, int64_t position) const;

 private:
  TextRunner original_, quantized_;
  std::optional<TextRunner> fast_;
  Output seen_;
};

}  // namespace mlxe
