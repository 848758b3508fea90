#include "metrics/kolmogorov_smirnov.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

// h = n * D: how far apart the counts of values up to some x get, over all x.
int64_t largest_distance(std::vector<double> a, std::vector<double> b) {
  std::ranges::sort(a);
  std::ranges::sort(b);
  int64_t largest = 0;
  for (size_t i = 0, j = 0; i < a.size() && j < b.size();) {
    const double x = std::min(a[i], b[j]);
    while (i < a.size() && a[i] == x) ++i;  // of equal values all count before the two are compared
    while (j < b.size() && b[j] == x) ++j;
    largest = std::max(largest, std::abs(static_cast<int64_t>(i) - static_cast<int64_t>(j)));
  }
  return largest;
}

// C(2n, n - m) / C(2n, n) is the product of (n - j) / (n + j + 1) over j < m; the terms are reached one after
// the other. They fall like exp(-m^2 / n), so the sum ends long before n / h where h is large.
double tail(int64_t n, int64_t h) {
  if (h == 0) return 1;
  double ratio = 1, sum = 0, sign = 1;
  for (int64_t j = 0; j < n && ratio > 0; ++j) {
    ratio *= static_cast<double>(n - j) / static_cast<double>(n + j + 1);
    if ((j + 1) % h != 0) continue;
    sum += sign * ratio;
    sign = -sign;
  }
  return std::clamp(2 * sum, 0.0, 1.0);
}

}  // namespace

KolmogorovSmirnov kolmogorov_smirnov(std::span<const double> a, std::span<const double> b) {
  if (a.empty() || a.size() != b.size())
    throw Error(ErrorCode::usage,
                fmt::format("Kolmogorov-Smirnov test: samples of {} and {} values, expected equally many",
                            a.size(), b.size()));
  for (const auto& sample : {a, b})
    if (std::ranges::any_of(sample, [](double x) { return std::isnan(x); }))
      throw Error(ErrorCode::numeric, "Kolmogorov-Smirnov test: a value is not a number");
  const auto n = static_cast<int64_t>(a.size());
  const int64_t h = largest_distance({a.begin(), a.end()}, {b.begin(), b.end()});
  return {static_cast<double>(h) / static_cast<double>(n), tail(n, h)};
}

}  // namespace mlxe
