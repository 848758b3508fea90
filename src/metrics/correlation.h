// Pearson and Spearman correlation.
#pragma once

#include <span>
#include <vector>

#include "metrics/resampling.h"

namespace mlxe {

// Both sides have the same length, at least 1. NaN if a side is constant, as in scipy.stats.
class Correlation {
 public:
  Correlation(std::vector<double> x, std::vector<double> y);

  // Item i counts counts[i] times.
  double pearson(Counts counts) const;
  // Pearson of the ranks; equal values share the mean of their ranks, as in scipy.stats.spearmanr.
  double spearman(Counts counts) const;

 private:
  std::vector<double> x_, y_;
  std::vector<size_t> order_x_,
      order_y_;  // items by rising value, so that a resample is ranked without sorting
};

double pearson(std::span<const double> x, std::span<const double> y);
double spearman(std::span<const double> x, std::span<const double> y);

}  // namespace mlxe
