// The Hessian of a linear's output error: the damped covariance of its inputs, and values derived from it once for
// all linears that share the input.
#pragma once

#include <cstdint>
#include <vector>

#include "calibrate/factorization.h"
#include "calibrate/moments.h"
#include "calibrate/products.h"

namespace mlxe {

class ThreadPool;

namespace calibrate {

// An error E in a matrix, [rows, columns], costs the sum over rows of e H e^T. This is the mean squared error of the
// outputs after their mean is corrected, plus the damping.
struct InputHessian {
  // Added to the variance of every direction, as a share of the mean variance. Limits changes in directions that the
  // texts rarely use.
  static constexpr double kDamping = 0.1;

  // H = covariance + ridge I. ridge = damping * (mean of the diagonal), but at least the size of rounding errors in
  // the covariance.
  explicit InputHessian(Moments gathered, double damping = kDamping);

  int64_t columns() const noexcept { return moments.columns; }
  float diagonal(int64_t c) const noexcept { return h.at(c, c); }

  // Frees the values that only correct_for_drift() needs: most of the memory.
  void finish_drift_correction();

  Moments moments;       // without the covariance
  float ridge = 0;       // added to the diagonal of the covariance
  PanelMatrix h, drift;  // drift: E[(x0 - x) x^T], of Target::inputs
  // Columns in the order they are rounded: largest variance first, because all later columns can then compensate
  // their errors. P H P^T = U D U^T.
  std::vector<int32_t> order;
  Factorization factors;
};

// The weights whose outputs on x are nearest to the outputs of `weights` W on x0, [rows, columns].
//   Target::inputs   W + W drift H^-1
//   Target::outputs  (cross + ridge W) H^-1
std::vector<float> correct_for_drift(const std::vector<float>& weights, const InputHessian& hessian,
                                     ThreadPool& pool);

// Mean over tokens of |output error|^2 of each row, summed over rows: sum of e H e^T for e = target - values,
// both [rows, columns].
double weighted_error(const std::vector<float>& target, const std::vector<float>& values,
                      const InputHessian& hessian, ThreadPool& pool);

}  // namespace calibrate
}  // namespace mlxe
