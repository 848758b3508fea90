// Measures the output error of a converted folder on held-out texts.
#pragma once

#include <filesystem>
#include <vector>

#include "allocate/output_cost.h"
#include "allocate/recipe.h"
#include "compare/sequences.h"
#include "encoder/text_runner.h"
#include "mlx_encoder/allocate.h"

namespace mlxe::allocate {

class HeldOutTexts {
 public:
  // Runs the original on about `most_tokens` tokens of the texts. `original` must outlive this. All models run on its
  // threads. Errors: format, numeric (name the text).
  HeldOutTexts(const TextRunner& original, Output output, NumberedTexts texts, int64_t most_tokens);

  int64_t sequences() const noexcept { return static_cast<int64_t>(original_outputs_.size()); }
  // 1 - mean cosine between the original's sentence vectors of different texts; 0 for other outputs.
  double vector_spread() const noexcept { return spread_; }
  // Loads the folder and runs it, with float32 activations on the cpu engine. Errors: those of reading it.
  HeldOut measure(const std::filesystem::path& folder) const;

 private:
  std::vector<Sequence> sequences_with(const TextRunner& other) const;

  const TextRunner& original_;
  Output output_;
  NumberedTexts texts_;
  int64_t most_tokens_;
  std::vector<Matrix> original_outputs_;  // by sequence
  double spread_ = 0;
};

}  // namespace mlxe::allocate
