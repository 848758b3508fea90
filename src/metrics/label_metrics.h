// What a conversion does to a classifier's decisions.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "mlx_encoder/difference.h"
#include "models/model.h"

namespace mlxe {

// softmax of the logits; sigmoid of each for multi-label heads and heads with one output. Float64.
// Empty for regression, whose outputs are no probabilities.
std::vector<double> probabilities(ProblemType problem, std::span<const float> logits);

// Indices of the labels these probabilities decide for: the best one, or each above 0.5 (maybe none) where
// every label has a probability of its own.
std::vector<int64_t> decided_labels(ProblemType problem, std::span<const double> p);

// Gathers LabelDifference, a text or token at a time.
class LabelMeter {
 public:
  // `listed`: how many flips are kept by name, those of the largest margin.
  LabelMeter(ProblemType problem, std::vector<std::string> labels, size_t listed);

  // Logits. `place`: text, sequence and token of a Flip.
  void add(const Flip& place, std::span<const float> original, std::span<const float> quantized);
  LabelDifference result() const;

 private:
  std::string spelled(std::span<const int64_t> labels) const;

  ProblemType problem_;
  std::vector<std::string> labels_;
  size_t keep_;
  LabelDifference sums_;
  std::map<std::pair<std::string, std::string>, int64_t> moves_;
};

}  // namespace mlxe
