// Compares predicted classes with gold classes.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "metrics/resampling.h"

namespace mlxe {

// Over the classes that occur in gold or predictions. A class that was never predicted correctly has an F1 of 0. As in
// sklearn.metrics: f1_score(average="macro"), (average="weighted"), matthews_corrcoef (0 where a side is
// constant).
struct ClassScores {
  double accuracy = 0, macro_f1 = 0, weighted_f1 = 0, matthews = 0;
};

struct ClassCount {
  int64_t right = 0, predicted = 0, gold = 0;
  double precision() const;  // 0 if never predicted
  double recall() const;     // 0 if never gold
  double f1() const;
};

// `gold` and `predicted` have the same length, at least 1. Classes are 0 to `classes` - 1.
class ClassComparison {
 public:
  ClassComparison(std::vector<int64_t> gold, std::vector<int64_t> predicted, int64_t classes);

  // Item i counts counts[i] times.
  std::vector<ClassCount> count(Counts counts) const;  // by class
  ClassScores scores(Counts counts) const;

 private:
  std::vector<int64_t> gold_, predicted_;
  int64_t classes_;
};

ClassScores class_scores(std::span<const int64_t> gold, std::span<const int64_t> predicted);

}  // namespace mlxe
