// Differences between the original's outputs and those of another run: last hidden state, vectors or logits,
// probabilities, labels, and scores against gold values.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "compare/output_task.h"
#include "compare/sequences.h"
#include "metrics/difference_meter.h"
#include "metrics/label_metrics.h"
#include "metrics/vector_space.h"
#include "mlx_encoder/difference.h"

namespace mlxe {

class OutputMeter {
 public:
  explicit OutputMeter(const OutputTask& task);

  // Announces sequences [first, first + count), which follow in any order. Both texts of a pair are in one window.
  void begin_window(size_t first, size_t count);
  // Adds one sequence: token vectors and the output row (rows, if by token), of the original and of the other run.
  // Returns the cosine of the listed tensor (if by token, the mean cosine). Throws unsupported if the outputs have
  // different widths.
  double add(size_t index, const Sequence& sequence, std::array<std::span<const float>, 2> tokens,
             std::array<std::span<const float>, 2> output);
  void end_window(std::span<const Sequence> sequences);

  std::vector<NamedDifference> tensors() const;           // last_hidden_state, the output, and probabilities
  std::optional<VectorSpace> vectors(int threads) const;  // of sentence vectors
  std::optional<LabelDifference> labels() const;
  std::vector<TaskScore> scores() const;
  std::vector<Drift> drift() const;  // similarities or confidences, if there are at least two; values

 private:
  void keep_values(size_t index, std::array<std::span<const float>, 2> output);
  double add_tokens(size_t index, const Sequence& sequence, std::array<std::span<const float>, 2> output);
  double add_logits(const Flip& place, std::array<std::span<const float>, 2> logits, double cosine);

  const OutputTask& task_;
  DifferenceMeter hidden_;
  std::optional<DifferenceMeter> output_, probabilities_;
  VectorSpaceMeter vector_meter_;
  std::optional<LabelMeter> label_meter_;
  std::array<std::vector<int64_t>, 2> predicted_;           // by text
  std::array<std::vector<double>, 2> similarity_;           // by text
  size_t window_ = 0;                                       // its first sequence
  std::array<std::vector<std::vector<float>>, 2> vectors_;  // of the window's sentences
  std::array<std::vector<double>, 2> sample_, values_;      // of Drift: similarities or confidences, values
};

}  // namespace mlxe
