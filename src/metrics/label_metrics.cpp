#include "metrics/label_metrics.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <tuple>

namespace mlxe {
namespace {

// log(e^a / sum e^x) for each; the largest is taken out first so that nothing overflows.
std::vector<double> log_softmax(std::span<const float> logits) {
  const double top = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (float x : logits) sum += std::exp(static_cast<double>(x) - top);
  std::vector<double> out;
  for (float x : logits) out.push_back(static_cast<double>(x) - top - std::log(sum));
  return out;
}

// log of the sigmoid, exact for large |x| too.
double log_sigmoid(double x) {
  return x < 0 ? x - std::log1p(std::exp(x)) : -std::log1p(std::exp(-x));
}

double divergence(ProblemType problem, std::span<const float> a, std::span<const float> b) {
  double kl = 0;
  if (is_softmax(problem, a.size())) {
    const std::vector<double> p = log_softmax(a), q = log_softmax(b);
    for (size_t i = 0; i < p.size(); ++i) kl += std::exp(p[i]) * (p[i] - q[i]);
    return kl;
  }
  for (size_t i = 0; i < a.size(); ++i)
    for (double sign : {1.0, -1.0}) {
      const double p = log_sigmoid(sign * a[i]), q = log_sigmoid(sign * b[i]);
      kl += std::exp(p) * (p - q);
    }
  return kl;
}

double margin(bool softmax, std::span<const double> p) {
  if (softmax) {
    double best = 0, second = 0;
    for (double x : p) {
      if (x > best) {
        second = best;
        best = x;
      } else {
        second = std::max(second, x);
      }
    }
    return best - second;
  }
  double nearest = 1;
  for (double x : p) nearest = std::min(nearest, 2 * std::fabs(x - 0.5));
  return nearest;
}

}  // namespace

std::vector<double> probabilities(ProblemType problem, std::span<const float> logits) {
  std::vector<double> p;
  if (problem == ProblemType::regression) return p;
  if (is_softmax(problem, logits.size())) {
    p = log_softmax(logits);
    for (double& x : p) x = std::exp(x);
  } else {
    for (float x : logits) p.push_back(std::exp(log_sigmoid(x)));
  }
  return p;
}

std::vector<int64_t> decided_labels(ProblemType problem, std::span<const double> p) {
  if (is_softmax(problem, p.size())) return {std::max_element(p.begin(), p.end()) - p.begin()};
  std::vector<int64_t> on;
  for (size_t i = 0; i < p.size(); ++i)
    if (p[i] > 0.5) on.push_back(static_cast<int64_t>(i));
  return on;
}

LabelMeter::LabelMeter(ProblemType problem, std::vector<std::string> labels, size_t listed)
    : problem_(problem), labels_(std::move(labels)), keep_(listed) {}

std::string LabelMeter::spelled(std::span<const int64_t> labels) const {
  std::string text;
  for (int64_t i : labels) text += (text.empty() ? "" : ", ") + labels_[static_cast<size_t>(i)];
  return text.empty() ? "(none)" : text;
}

void LabelMeter::add(const Flip& place, std::span<const float> original, std::span<const float> quantized) {
  const std::vector<double> p = probabilities(problem_, original), q = probabilities(problem_, quantized);
  const bool softmax = is_softmax(problem_, p.size());
  const double m = margin(softmax, p);
  ++sums_.texts;
  sums_.kl += divergence(problem_, original, quantized);
  sums_.margin_original += m;
  sums_.margin_quantized += margin(softmax, q);
  const std::vector<int64_t> before = decided_labels(problem_, p), after = decided_labels(problem_, q);
  if (before == after) return;
  ++sums_.flips;
  sums_.margin_flipped += m;
  auto& kept = sums_.listed;
  const auto larger = [](const Flip& a, const Flip& b) {
    return a.margin != b.margin
               ? a.margin > b.margin
               : std::tie(a.text, a.sequence, a.token) < std::tie(b.text, b.sequence, b.token);
  };
  Flip flip = place;
  flip.original = spelled(before);
  flip.quantized = spelled(after);
  flip.margin = m;
  ++moves_[{flip.original, flip.quantized}];
  kept.insert(std::upper_bound(kept.begin(), kept.end(), flip, larger), std::move(flip));
  if (kept.size() > keep_) kept.pop_back();
}

LabelDifference LabelMeter::result() const {
  LabelDifference d = sums_;
  const double n = static_cast<double>(std::max<int64_t>(d.texts, 1));
  d.kl /= n;
  d.margin_original /= n;
  d.margin_quantized /= n;
  for (const auto& [labels, texts] : moves_) d.moves.push_back({labels.first, labels.second, texts});
  std::ranges::stable_sort(d.moves, std::greater<>(), &LabelMove::texts);
  if (d.flips > 0) d.margin_flipped /= static_cast<double>(d.flips);
  return d;
}

}  // namespace mlxe
