#include "calibrate/input_hessian.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/thread_pool.h"

namespace mlxe::calibrate {
namespace {

float ridge_of(const Moments& moments, double damping) {
  const auto n = static_cast<size_t>(moments.columns);
  double variance = 0, square = 0;  // means over the columns
  for (size_t c = 0; c < n; ++c) {
    variance += static_cast<double>(moments.covariance[c * n + c]) / static_cast<double>(n);
    square += moments.mean[c] * moments.mean[c] / static_cast<double>(n);
  }
  // If inputs hardly vary, the covariance consists of rounding errors and may be indefinite.
  constexpr double kNoise = 1e-6;
  const double least = kNoise * (square + variance);
  return static_cast<float>(least > 0 ? std::max(damping * variance, least) : 1);
}

// Adds the ridge to the covariance's diagonal. Moves the covariance out of `moments`.
std::vector<float> damped(Moments& moments, float ridge) {
  std::vector<float> h = std::move(moments.covariance);
  const auto n = static_cast<size_t>(moments.columns);
  for (size_t c = 0; c < n; ++c) h[c * n + c] += ridge;
  return h;
}

std::vector<int32_t> largest_first(const PanelMatrix& h) {
  std::vector<int32_t> order(static_cast<size_t>(h.columns()));
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, [&](int32_t a, int32_t b) { return h.at(a, a) > h.at(b, b); });
  return order;
}

}  // namespace

InputHessian::InputHessian(Moments gathered, double damping)
    : moments(std::move(gathered)),
      ridge(ridge_of(moments, damping)),
      h(damped(moments, ridge), moments.columns),
      drift(moments.target == Target::inputs ? PanelMatrix(moments.cross, moments.columns) : PanelMatrix()),
      order(largest_first(h)),
      factors(h, order) {
  if (moments.target == Target::inputs) moments.cross = {};
}

void InputHessian::finish_drift_correction() {
  drift = {};
  moments.cross = {};
}

std::vector<float> correct_for_drift(const std::vector<float>& weights, const InputHessian& hessian,
                                     ThreadPool& pool) {
  const int64_t n = hessian.columns(), rows = static_cast<int64_t>(weights.size()) / n;
  const Moments& m = hessian.moments;
  std::vector<float> target(weights.size());
  pool.parallel_for((rows + kBlockRows - 1) / kBlockRows, [&](int64_t block, int) {
    const int64_t first = block * kBlockRows, count = std::min(kBlockRows, rows - first);
    const float* w = weights.data() + first * n;
    float* out = target.data() + first * n;
    if (m.target == Target::outputs) {
      for (int64_t i = 0; i < count * n; ++i)
        out[i] = m.cross[static_cast<size_t>(first * n + i)] + hessian.ridge * w[i];
      hessian.factors.solve(out, count);
    } else {
      hessian.drift.multiply(w, n, count, 0, n, out);
      hessian.factors.solve(out, count);
      for (int64_t i = 0; i < count * n; ++i) out[i] += w[i];
    }
  });
  return target;
}

double weighted_error(const std::vector<float>& target, const std::vector<float>& values,
                      const InputHessian& hessian, ThreadPool& pool) {
  const int64_t n = hessian.columns(), rows = static_cast<int64_t>(target.size()) / n;
  std::vector<double> errors(static_cast<size_t>((rows + kBlockRows - 1) / kBlockRows));
  pool.parallel_for(static_cast<int64_t>(errors.size()), [&](int64_t block, int) {
    const int64_t first = block * kBlockRows, count = std::min(kBlockRows, rows - first);
    std::vector<float> e(static_cast<size_t>(count * n)), he(e.size());
    for (size_t i = 0; i < e.size(); ++i) {
      const size_t at = static_cast<size_t>(first * n) + i;
      e[i] = target[at] - values[at];
    }
    hessian.h.multiply(e.data(), n, count, 0, n, he.data());
    double sum = 0;
    for (size_t i = 0; i < e.size(); ++i) sum += static_cast<double>(e[i]) * static_cast<double>(he[i]);
    errors[static_cast<size_t>(block)] = sum;
  });
  return std::accumulate(errors.begin(), errors.end(), 0.0);
}

}  // namespace mlxe::calibrate
