// Symmetric positive definite systems, by Eigen (the only file of ours that includes it is this one's .cpp).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace mlxe::calibrate {

// Of the n x n matrix H, row-major. Const members may be called from several threads.
class Factorization {
 public:
  // Errors: numeric, when H is not positive definite.
  Factorization(std::span<const float> h, int64_t n);
  ~Factorization();

  // rows := rows H^-1 for `count` rows of n values.
  void solve(float* rows, int64_t count) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// The unit upper triangular U of P H P^T = U D U^T, D diagonal, where row i of P H P^T is row order[i] of H:
// row-major [n, n]. Errors: numeric, when H is not positive definite.
std::vector<float> unit_upper_factor(std::span<const float> h, std::span<const int32_t> order);

// The x with (A + small ridge) x = b for a small symmetric positive semidefinite A, row-major.
std::vector<double> solve_small(std::span<const double> a, std::span<const double> b);

}  // namespace mlxe::calibrate
