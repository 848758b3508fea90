#include "metrics/correlation.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

std::vector<size_t> rising(std::span<const double> values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::sort(order, {}, [&](size_t i) { return values[i]; });
  return order;
}

std::vector<double> ranks(std::span<const double> values, std::span<const size_t> order, Counts counts) {
  std::vector<double> rank(values.size());
  double before = 0;
  for (size_t first = 0; first < order.size();) {
    size_t end = first;
    double equal = 0;
    for (; end < order.size() && values[order[end]] == values[order[first]]; ++end)
      equal += counts[order[end]];
    for (size_t i = first; i < end; ++i) rank[order[i]] = before + 0.5 * (equal + 1);
    before += equal;
    first = end;
  }
  return rank;
}

// Asked of the values, not of the sums: the mean of equal values may be off by a rounding.
bool constant(std::span<const double> values, Counts counts) {
  const double* seen = nullptr;
  for (size_t i = 0; i < values.size(); ++i) {
    if (counts[i] == 0) continue;
    if (seen && *seen != values[i]) return false;
    seen = &values[i];
  }
  return true;
}

double weighted_pearson(std::span<const double> x, std::span<const double> y, Counts counts) {
  if (constant(x, counts) || constant(y, counts)) return std::numeric_limits<double>::quiet_NaN();
  double n = 0, mean_x = 0, mean_y = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    n += counts[i];
    mean_x += counts[i] * x[i];
    mean_y += counts[i] * y[i];
  }
  mean_x /= n;
  mean_y /= n;
  double xy = 0, xx = 0, yy = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double a = x[i] - mean_x, b = y[i] - mean_y;
    xy += counts[i] * a * b;
    xx += counts[i] * a * a;
    yy += counts[i] * b * b;
  }
  return std::clamp(xy / (std::sqrt(xx) * std::sqrt(yy)), -1.0, 1.0);
}

}  // namespace

Correlation::Correlation(std::vector<double> x, std::vector<double> y)
    : x_(std::move(x)), y_(std::move(y)), order_x_(rising(x_)), order_y_(rising(y_)) {
  if (x_.size() != y_.size() || x_.empty())
    throw Error(ErrorCode::internal, "correlation: the two sides must be equally long, not empty");
}

double Correlation::pearson(Counts counts) const {
  return weighted_pearson(x_, y_, counts);
}

double Correlation::spearman(Counts counts) const {
  return weighted_pearson(ranks(x_, order_x_, counts), ranks(y_, order_y_, counts), counts);
}

double pearson(std::span<const double> x, std::span<const double> y) {
  return Correlation({x.begin(), x.end()}, {y.begin(), y.end()}).pearson(once(x.size()));
}

double spearman(std::span<const double> x, std::span<const double> y) {
  return Correlation({x.begin(), x.end()}, {y.begin(), y.end()}).spearman(once(x.size()));
}

}  // namespace mlxe
