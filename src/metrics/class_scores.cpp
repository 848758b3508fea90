#include "metrics/class_scores.h"

#include <algorithm>
#include <cmath>

#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

double ratio(double part, double whole) {
  return whole == 0 ? 0 : part / whole;
}

}  // namespace

double ClassCount::precision() const {
  return ratio(static_cast<double>(right), static_cast<double>(predicted));
}
double ClassCount::recall() const {
  return ratio(static_cast<double>(right), static_cast<double>(gold));
}
double ClassCount::f1() const {
  return ratio(2.0 * static_cast<double>(right), static_cast<double>(gold + predicted));
}

ClassComparison::ClassComparison(std::vector<int64_t> gold, std::vector<int64_t> predicted, int64_t classes)
    : gold_(std::move(gold)), predicted_(std::move(predicted)), classes_(classes) {
  if (gold_.size() != predicted_.size() || gold_.empty())
    throw Error(ErrorCode::internal, "class scores: the two sides must be equally long, not empty");
  for (const auto& side : {gold_, predicted_})
    if (std::ranges::min(side) < 0 || std::ranges::max(side) >= classes_)
      throw Error(ErrorCode::internal, "class scores: a class is out of range");
}

std::vector<ClassCount> ClassComparison::count(Counts counts) const {
  std::vector<ClassCount> all(static_cast<size_t>(classes_));
  for (size_t i = 0; i < gold_.size(); ++i) {
    ClassCount& gold = all[static_cast<size_t>(gold_[i])];
    gold.gold += counts[i];
    all[static_cast<size_t>(predicted_[i])].predicted += counts[i];
    if (gold_[i] == predicted_[i]) gold.right += counts[i];
  }
  return all;
}

ClassScores ClassComparison::scores(Counts counts) const {
  double items = 0, right = 0, present = 0, f1 = 0, weighted = 0;
  double gold_predicted = 0, gold_squared = 0, predicted_squared = 0;
  for (const ClassCount& c : count(counts)) {
    const auto gold = static_cast<double>(c.gold), predicted = static_cast<double>(c.predicted);
    items += gold;
    right += static_cast<double>(c.right);
    present += gold + predicted > 0;
    f1 += c.f1();
    weighted += gold * c.f1();
    gold_predicted += gold * predicted;
    gold_squared += gold * gold;
    predicted_squared += predicted * predicted;
  }
  const double spread = (items * items - predicted_squared) * (items * items - gold_squared);
  return {.accuracy = right / items,
          .macro_f1 = f1 / present,
          .weighted_f1 = weighted / items,
          .matthews = ratio(right * items - gold_predicted, std::sqrt(spread))};
}

ClassScores class_scores(std::span<const int64_t> gold, std::span<const int64_t> predicted) {
  int64_t classes = 0;
  for (const auto side : {gold, predicted})
    for (int64_t c : side) classes = std::max(classes, c + 1);
  return ClassComparison({gold.begin(), gold.end()}, {predicted.begin(), predicted.end()}, classes)
      .scores(once(gold.size()));
}

}  // namespace mlxe
