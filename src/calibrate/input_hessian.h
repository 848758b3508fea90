// How much an error in a linear's weights matters: the damped covariance of its inputs and what is derived
// from it once for all linears that share the input.
#pragma once

#include <cstdint>
#include <vector>

#include "calibrate/factorization.h"
#include "calibrate/moments.h"
#include "calibrate/products.h"

namespace mlxe {

class ThreadPool;

namespace calibrate {

// An error E in a matrix, [rows, columns], costs the sum over rows of e H e^T: the mean squared error of its
// outputs, once their mean is corrected, plus the damping.
struct InputHessian {
  // The share of the mean variance every direction gets on top: what keeps rarely seen directions in place.
  static constexpr double kDamping = 0.1;

  // H = covariance + ridge I, ridge = damping * (mean of its diagonal), or what rounding needs if that is
  // more.
  explicit InputHessian(Moments gathered, double damping = kDamping);

  int64_t columns() const noexcept { return moments.columns; }
  float diagonal(int64_t c) const noexcept { return h.at(c, c); }

  // Gives up what correct_for_drift() alone needs: most of the memory.
  void finish_drift_correction();

  Moments moments;       // without the covariance
  float ridge = 0;       // what H has more than the covariance on its diagonal
  PanelMatrix h, drift;  // drift: E[(x0 - x) x^T], of Target::inputs
  // Columns in the order they are rounded: those that move most first, as all others can then make up for
  // them. P H P^T = U D U^T.
  std::vector<int32_t> order;
  Factorization factors;
};

// The weights that, fed with x, come nearest to what `weights` W make of x0: W + W drift H^-1; where it is
// known what they must make, (cross + ridge W) H^-1. [rows, columns].
std::vector<float> correct_for_drift(const std::vector<float>& weights, const InputHessian& hessian,
                                     ThreadPool& pool);

// Mean over tokens of |output error|^2 of each row, summed over rows: sum of e H e^T for e = target - values,
// both [rows, columns].
double weighted_error(const std::vector<float>& target, const std::vector<float>& values,
                      const InputHessian& hessian, ThreadPool& pool);

}  // namespace calibrate
}  // namespace mlxe
