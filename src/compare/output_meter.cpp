#include "compare/output_meter.h"

#include <fmt/format.h>

#include <algorithm>

#include "metrics/class_scores.h"
#include "metrics/correlation.h"
#include "metrics/kolmogorov_smirnov.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

constexpr size_t kListedFlips = 50;
constexpr size_t kKeptValues = 16;  // of a text's output, for the test of drift: memory stays small

}  // namespace

OutputMeter::OutputMeter(const OutputTask& task)
    : task_(task), hidden_(task.tokens, task.hidden_size), vector_meter_(task.different) {
  if (task.has_probabilities()) label_meter_.emplace(task.problem, task.labels, kListedFlips);
  for (int side = 0; side < 2; ++side) {
    similarity_[side].resize(task.scores.size());
    predicted_[side].resize(task.gold.size());
  }
}

void OutputMeter::begin_window(size_t first, size_t count) {
  window_ = first;
  for (auto& side : vectors_) side.assign(task_.classifier ? 0 : count, {});
}

double OutputMeter::add(size_t index, const Sequence& sequence, std::array<std::span<const float>, 2> tokens,
                        std::array<std::span<const float>, 2> output) {
  hidden_.add(tokens[0], tokens[1], sequence.text);
  if (task_.by_token && sequence.ids.empty()) return 1;  // no rows, no difference
  if (!output_) {
    if (output[0].size() != output[1].size())
      throw Error(
          ErrorCode::unsupported,
          fmt::format("the original's vectors have {} values, the conversion's {}; compare a model with "
                      "a conversion of itself",
                      output[0].size(), output[1].size()));
    const auto columns = static_cast<int64_t>(output[0].size() / (task_.by_token ? sequence.ids.size() : 1));
    output_.emplace(task_.output_rows(), columns);
    probabilities_.emplace(task_.output_rows(), columns);
  }
  keep_values(index, output);
  if (task_.by_token) return add_tokens(index, sequence, output);
  const double cosine = output_->add(output[0], output[1], sequence.text);
  if (task_.classifier)
    return add_logits({.text = sequence.text, .sequence = static_cast<int64_t>(index)}, output, cosine);
  vector_meter_.add(index, output[0], output[1]);
  for (int side = 0; side < 2; ++side)
    vectors_[side][index - window_].assign(output[side].begin(), output[side].end());
  return cosine;
}

double OutputMeter::add_tokens(size_t index, const Sequence& sequence,
                               std::array<std::span<const float>, 2> output) {
  const size_t tokens = sequence.ids.size(), columns = output[0].size() / tokens;
  double sum = 0;
  for (size_t t = 0; t < tokens; ++t) {
    const std::array<std::span<const float>, 2> row{output[0].subspan(t * columns, columns),
                                                    output[1].subspan(t * columns, columns)};
    sum += add_logits(
        {.text = sequence.text, .sequence = static_cast<int64_t>(index), .token = static_cast<int64_t>(t)},
        row, output_->add(row[0], row[1], sequence.text));
  }
  return sum / static_cast<double>(tokens);
}

// Other columns of each text, so that together they see all.
void OutputMeter::keep_values(size_t index, std::array<std::span<const float>, 2> output) {
  const size_t columns = output[0].size(), kept = std::min(kKeptValues, columns);
  for (size_t i = 0; i < kept; ++i)
    for (int side = 0; side < 2; ++side)
      values_[side].push_back(output[side][(index + i * columns / kept) % columns]);
}

double OutputMeter::add_logits(const Flip& place, std::array<std::span<const float>, 2> logits,
                               double cosine) {
  const int64_t text = place.text;
  if (!task_.scores.empty())
    for (int side = 0; side < 2; ++side) similarity_[side][static_cast<size_t>(text)] = logits[side][0];
  if (!label_meter_) return cosine;
  label_meter_->add(place, logits[0], logits[1]);
  std::array<std::vector<float>, 2> p;
  for (int side = 0; side < 2; ++side) {
    const std::vector<double> exact = probabilities(task_.problem, logits[side]);
    p[side].assign(exact.begin(), exact.end());
    sample_[side].push_back(*std::ranges::max_element(exact));
    if (!task_.gold.empty())
      predicted_[side][static_cast<size_t>(text)] = decided_labels(task_.problem, exact).front();
  }
  return probabilities_->add(p[0], p[1], text);
}

void OutputMeter::end_window(std::span<const Sequence> sequences) {
  for (size_t i = 0; i + 1 < vectors_[0].size(); ++i) {
    const bool pair = sequences[window_ + i + 1].part == 1;
    const auto text = static_cast<size_t>(sequences[window_ + i].text);
    for (int side = 0; side < 2; ++side) {
      const double cosine = row_cosine(vectors_[side][i], vectors_[side][i + 1]);
      sample_[side].push_back(cosine);
      if (pair && !task_.scores.empty()) similarity_[side][text] = cosine;
    }
  }
}

std::vector<NamedDifference> OutputMeter::tensors() const {
  std::vector<NamedDifference> all{{"last_hidden_state", hidden_.result()},
                                   {task_.output(), output_->result()}};
  if (task_.has_probabilities()) all.push_back({"probabilities", probabilities_->result()});
  return all;
}

std::optional<VectorSpace> OutputMeter::vectors(int threads) const {
  return vector_meter_.result(output_->result().cosine.mean, threads);
}

std::optional<LabelDifference> OutputMeter::labels() const {
  if (!label_meter_) return std::nullopt;
  LabelDifference labels = label_meter_->result();
  labels.by_token = task_.by_token;
  return labels;
}

std::vector<Drift> OutputMeter::drift() const {
  std::vector<Drift> all;
  for (const auto& [name, sides] : {std::pair(task_.sample(), &sample_), std::pair("values", &values_)}) {
    const auto& [original, other] = *sides;
    if (original.empty()) continue;
    const KolmogorovSmirnov test = kolmogorov_smirnov(original, other);
    all.push_back({name, test.statistic, test.p, original, other});
  }
  return all;
}

std::vector<TaskScore> OutputMeter::scores() const {
  const auto both = [](const char* metric, auto score, const auto& gold, const auto& sides) {
    return TaskScore{metric, score(gold, sides[0]), score(gold, sides[1])};
  };
  std::vector<TaskScore> all;
  if (!task_.gold.empty()) {
    const ClassScores original = class_scores(task_.gold, predicted_[0]);
    const ClassScores other = class_scores(task_.gold, predicted_[1]);
    all.push_back({"accuracy", original.accuracy, other.accuracy});
    all.push_back({"macro_f1", original.macro_f1, other.macro_f1});
  }
  if (!task_.scores.empty()) {
    all.push_back(both("spearman", spearman, task_.scores, similarity_));
    all.push_back(both("pearson", pearson, task_.scores, similarity_));
  }
  return all;
}

}  // namespace mlxe
