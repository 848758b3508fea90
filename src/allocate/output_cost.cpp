#include "allocate/output_cost.h"

#include <algorithm>
#include <cmath>

#include "metrics/difference_meter.h"
#include "metrics/label_metrics.h"

namespace mlxe::allocate {
namespace {

// p log(p / q). A q that underflowed is replaced by a small positive number.
double divergence(double p, double q) {
  constexpr double kLeast = 1e-30;
  return p <= kLeast ? 0 : p * std::log(p / std::max(q, kLeast));
}

}  // namespace

bool has_labels(Output kind, ProblemType problem) noexcept {
  return kind != Output::sentence && problem != ProblemType::regression;
}

const char* cost_name(Output kind, ProblemType problem) noexcept {
  if (kind == Output::sentence) return "1 - cosine";
  return has_labels(kind, problem) ? "KL divergence" : "squared difference";
}

void CostMeter::add(std::span<const float> original, std::span<const float> changed) {
  ++rows_;
  if (kind_ == Output::sentence) {
    cost_ += 1 - row_cosine(original, changed);
    return;
  }
  if (problem_ == ProblemType::regression) {
    for (size_t i = 0; i < original.size(); ++i) {
      const double d = static_cast<double>(original[i]) - static_cast<double>(changed[i]);
      cost_ += d * d / static_cast<double>(original.size());
    }
    return;
  }
  const std::vector<double> p = probabilities(problem_, original), q = probabilities(problem_, changed);
  // One distribution over all labels or, if multi-label, a binary one for each label.
  const bool together = problem_ == ProblemType::single_label && p.size() > 1;
  for (size_t i = 0; i < p.size(); ++i)
    cost_ += divergence(p[i], q[i]) + (together ? 0 : divergence(1 - p[i], 1 - q[i]));
  flips_ += decided_labels(problem_, p) != decided_labels(problem_, q);
}

void CostMeter::add(const Matrix& original, const Matrix& changed) {
  const auto n = static_cast<size_t>(original.columns);
  for (size_t r = 0; r < static_cast<size_t>(original.rows); ++r)
    add(std::span(original.values).subspan(r * n, n), std::span(changed.values).subspan(r * n, n));
}

void CostMeter::add(const CostMeter& other) {
  cost_ += other.cost_;
  flips_ += other.flips_;
  rows_ += other.rows_;
}

OutputCost CostMeter::result() const {
  const double n = static_cast<double>(std::max<int64_t>(1, rows_));
  return {cost_ / n, static_cast<double>(flips_) / n, rows_};
}

}  // namespace mlxe::allocate
