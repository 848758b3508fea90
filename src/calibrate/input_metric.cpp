#include "calibrate/input_metric.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/thread_pool.h"
#include "calibrate/products.h"

namespace mlxe::calibrate {

InputMetric::InputMetric(Moments gathered, double damping)
    : moments(std::move(gathered)), h(std::move(moments.covariance)) {
  const auto n = static_cast<size_t>(columns());
  double variance = 0, square = 0;  // means over the columns
  for (size_t c = 0; c < n; ++c) {
    variance += static_cast<double>(h[c * n + c]) / static_cast<double>(n);
    square += moments.mean[c] * moments.mean[c] / static_cast<double>(n);
  }
  // Inputs that hardly change leave a covariance of rounding errors, which may be indefinite.
  constexpr double kNoise = 1e-6;
  const double least = kNoise * (square + variance);
  const auto everywhere = static_cast<float>(least > 0 ? std::max(damping * variance, least) : 1);
  for (size_t c = 0; c < n; ++c) h[c * n + c] += everywhere;
  order.resize(n);
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, [&](int32_t a, int32_t b) { return diagonal(a) > diagonal(b); });
  upper = unit_upper_factor(h, order);
}

std::vector<float> retarget(const std::vector<float>& weights, const InputMetric& metric, ThreadPool& pool) {
  const int64_t n = metric.columns(), rows = static_cast<int64_t>(weights.size()) / n;
  const Factorization factors(metric.h, n);
  std::vector<float> target(weights.size());
  pool.parallel_for((rows + kBlockRows - 1) / kBlockRows, [&](int64_t block, int) {
    const int64_t first = block * kBlockRows, count = std::min(kBlockRows, rows - first);
    float* out = target.data() + first * n;
    multiply(weights.data() + first * n, n, count, metric.moments.drift.data(), n, 0, n, out);
    factors.solve(out, count);
    for (int64_t i = 0; i < count * n; ++i) out[i] += weights[static_cast<size_t>(first * n + i)];
  });
  return target;
}

double weighted_error(const std::vector<float>& target, const std::vector<float>& values,
                      const InputMetric& metric, ThreadPool& pool) {
  const int64_t n = metric.columns(), rows = static_cast<int64_t>(target.size()) / n;
  std::vector<double> errors(static_cast<size_t>((rows + kBlockRows - 1) / kBlockRows));
  pool.parallel_for(static_cast<int64_t>(errors.size()), [&](int64_t block, int) {
    const int64_t first = block * kBlockRows, count = std::min(kBlockRows, rows - first);
    std::vector<float> e(static_cast<size_t>(count * n)), he(e.size());
    for (size_t i = 0; i < e.size(); ++i) {
      const size_t at = static_cast<size_t>(first * n) + i;
      e[i] = target[at] - values[at];
    }
    multiply(e.data(), n, count, metric.h.data(), n, 0, n, he.data());
    double sum = 0;
    for (size_t i = 0; i < e.size(); ++i) sum += static_cast<double>(e[i]) * static_cast<double>(he[i]);
    errors[static_cast<size_t>(block)] = sum;
  });
  return std::accumulate(errors.begin(), errors.end(), 0.0);
}

}  // namespace mlxe::calibrate
