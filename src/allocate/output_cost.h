// The distance of a changed model's output from the original's.
#pragma once

#include <cstdint>
#include <span>

#include "allocate/model_trace.h"

namespace mlxe::allocate {

// Means over the rows of an output: texts or tokens.
struct OutputCost {
  // Of vectors: 1 - cosine. Of logits: KL(original || changed), summed over labels if multi-label. Of a regression, and
  // of logits of no classes: the squared difference.
  double cost = 0;
  double flips = 0;  // share of rows whose label changes; 0 without labels
  int64_t rows = 0;
};

class CostMeter {
 public:
  CostMeter(Output kind, ProblemType problem) : kind_(kind), problem_(problem) {}

  void add(std::span<const float> original, std::span<const float> changed);  // one row of each
  void add(const Matrix& original, const Matrix& changed);
  void add(const CostMeter& other);
  OutputCost result() const;

 private:
  Output kind_;
  ProblemType problem_;
  double cost_ = 0;
  int64_t flips_ = 0, rows_ = 0;
};

// "1 - cosine", "KL divergence" or "squared difference".
const char* cost_name(Output kind, ProblemType problem) noexcept;
bool has_labels(Output kind, ProblemType problem) noexcept;

}  // namespace mlxe::allocate
