#include "metrics/difference_meter.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "mlx_encoder/error.h"

namespace mlxe {

double row_cosine(std::span<const float> a, std::span<const float> b) {
  double ab = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double x = a[i], y = b[i];
    ab += x * y;
    aa += x * x;
    bb += y * y;
  }
  if (aa == 0 || bb == 0) return aa == bb ? 1 : 0;
  return std::clamp(ab / std::sqrt(aa * bb), -1.0, 1.0);
}

LowTail::LowTail(int64_t count) : count_(count), min_(std::numeric_limits<double>::infinity()) {
  if (count < 1) throw Error(ErrorCode::usage, "comparison: there are no rows to compare");
  // The percentile lies between the sorted values floor(0.01 (n - 1)) and the one after it.
  keep_ = static_cast<size_t>(std::min<double>(count, std::floor(0.01 * (count - 1)) + 2));
  lowest_.reserve(keep_ + 1);
}

void LowTail::add(double value, int64_t from) {
  if (added_ == count_) throw Error(ErrorCode::internal, "LowTail: more values than were announced");
  sum_ += value;
  if (value < min_ || added_ == 0) {
    min_ = value;
    argmin_ = from;
  }
  ++added_;
  if (lowest_.size() == keep_ && value >= lowest_.front()) return;
  lowest_.push_back(value);
  std::push_heap(lowest_.begin(), lowest_.end());
  if (lowest_.size() > keep_) {
    std::pop_heap(lowest_.begin(), lowest_.end());
    lowest_.pop_back();
  }
}

double LowTail::mean() const {
  return sum_ / static_cast<double>(added_);
}

double LowTail::p1() const {
  if (added_ != count_)
    throw Error(ErrorCode::internal, fmt::format("LowTail: {} values of {} were added", added_, count_));
  std::vector<double> sorted = lowest_;
  std::sort(sorted.begin(), sorted.end());
  const double position = 0.01 * static_cast<double>(count_ - 1);
  const size_t below = static_cast<size_t>(position);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (sorted[above] - sorted[below]) * (position - static_cast<double>(below));
}

DifferenceMeter::DifferenceMeter(int64_t rows, int64_t columns) : columns_(columns), cosines_(rows) {}

double DifferenceMeter::add(std::span<const float> original, std::span<const float> quantized, int64_t text) {
  if (original.size() != quantized.size() || original.size() % static_cast<size_t>(columns_) != 0)
    throw Error(ErrorCode::internal,
                fmt::format("DifferenceMeter: {} and {} values are not equal whole rows of {}",
                            original.size(), quantized.size(), columns_));
  double cosine = 1;
  for (size_t at = 0; at < original.size(); at += static_cast<size_t>(columns_)) {
    const auto a = original.subspan(at, static_cast<size_t>(columns_));
    const auto b = quantized.subspan(at, static_cast<size_t>(columns_));
    cosine = row_cosine(a, b);
    cosines_.add(cosine, text);
    double squares = 0;
    for (size_t i = 0; i < a.size(); ++i) {
      const double d = static_cast<double>(a[i]) - static_cast<double>(b[i]);
      squares += d * d;
      max_abs_ = std::max(max_abs_, std::fabs(d));
      largest_ = std::max(largest_, std::fabs(static_cast<double>(a[i])));
    }
    squares_ += squares;
  }
  return cosine;
}

Difference DifferenceMeter::result() const {
  Difference d;
  d.rows = cosines_.added();
  d.columns = columns_;
  d.cosine = {cosines_.mean(), cosines_.p1(), cosines_.min(), cosines_.argmin()};
  d.mse = squares_ / (static_cast<double>(d.rows) * static_cast<double>(columns_));
  d.max_abs = max_abs_;
  d.relative_max = max_abs_ == 0 ? 0 : max_abs_ / largest_;
  return d;
}

}  // namespace mlxe
