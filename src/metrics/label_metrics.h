// The effect of a conversion on a classifier's decisions.
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

// Softmax of the logits. For multi-label heads and heads with one output: sigmoid of each. Float64. Empty for
// regression, whose outputs are not probabilities.
std::vector<double> probabilities(ProblemType problem, std::span<const float> logits);

// Indices of the predicted labels: the most probable one or, if every label has an independent probability, all above
// 0.5 (maybe none).
std::vector<int64_t> decided_labels(ProblemType problem, std::span<const double> p);

// Gathers LabelDifference, a text or token at a time.
class LabelMeter {
 public:
  // `listed`: number of flips to list, those with the largest margins.
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
