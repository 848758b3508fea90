// Differences between two matrices, gathered row by row. Everything is summed in float64.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "mlx_encoder/difference.h"

namespace mlxe {

// Cosine of two rows of equal length. 1 if both rows are zero (nothing differs), 0 if one is. Exactly 1 for
// equal rows: sqrt(x * x) is x in binary floating point.
double row_cosine(std::span<const float> a, std::span<const float> b);

// The mean, the exact 1st percentile and the minimum of a known number of values, in memory of 1 % of them.
class LowTail {
 public:
  // Throws usage unless `count` >= 1.
  explicit LowTail(int64_t count);

  void add(double value, int64_t from);  // throws internal after `count` values
  double mean() const;
  // The sorted values at position 0.01 (n - 1), linearly interpolated (numpy.percentile).
  double p1() const;
  double min() const { return min_; }
  int64_t argmin() const { return argmin_; }  // `from` of the minimum, the first of several
  int64_t added() const { return added_; }

 private:
  int64_t count_, added_ = 0, argmin_ = 0;
  size_t keep_;
  double sum_ = 0, min_;
  std::vector<double> lowest_;  // a heap, its largest value first
};

// Takes the rows of both matrices text by text, `rows` in total.
class DifferenceMeter {
 public:
  DifferenceMeter(int64_t rows, int64_t columns);

  // Adds the rows of one text: one, or one for each token. Returns the cosine of the last row.
  double add(std::span<const float> original, std::span<const float> quantized, int64_t text);
  Difference result() const;

 private:
  int64_t columns_;
  LowTail cosines_;
  double squares_ = 0, max_abs_ = 0, largest_ = 0;
};

}  // namespace mlxe
