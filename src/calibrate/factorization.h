// Symmetric positive definite systems, solved by Eigen. Only factorization.cpp includes Eigen.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "calibrate/products.h"

namespace mlxe::calibrate {

// P H P^T = U D U^T with U unit upper triangular and D diagonal, where row i of P H P^T is row order[i] of H.
// Const members may be called from several threads.
class Factorization {
 public:
  // Errors: numeric, when H is not positive definite.
  Factorization(const PanelMatrix& h, std::span<const int32_t> order);
  ~Factorization();

  // rows := rows H^-1 for `count` rows of n values.
  void solve(float* rows, int64_t count) const;
  // U, row-major [n, n]. Readable for one panel past the end, as kernels require.
  std::vector<float> unit_upper() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// The x with (A + small ridge) x = b for a small symmetric positive semidefinite A, row-major.
std::vector<double> solve_small(std::span<const double> a, std::span<const double> b);

}  // namespace mlxe::calibrate
