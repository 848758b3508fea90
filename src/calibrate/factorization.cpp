#include "calibrate/factorization.h"

#include <Eigen/Cholesky>

#include "mlx_encoder/error.h"

namespace mlxe::calibrate {
namespace {

using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using ColumnMajor = Eigen::MatrixXd;

// Eigen blocks its loops by the processor's caches, which would make sums differ from machine to machine.
void fix_block_sizes() {
  static const bool done = [] {
    Eigen::setCpuCacheSizes(32 << 10, 1 << 20, 8 << 20);
    return true;
  }();
  (void)done;
}

[[noreturn]] void not_definite() {
  throw Error(
      ErrorCode::numeric,
      "the covariance of a layer's inputs is not positive definite; calibrate on more and more varied texts");
}

}  // namespace

struct Factorization::State {
  Eigen::LLT<ColumnMajor> llt;
};

Factorization::Factorization(std::span<const float> h, int64_t n) : state_(std::make_unique<State>()) {
  fix_block_sizes();
  ColumnMajor a(n, n);
  for (int64_t r = 0; r < n; ++r)
    for (int64_t c = 0; c < n; ++c) a(r, c) = static_cast<double>(h[static_cast<size_t>(r * n + c)]);
  state_->llt.compute(a);
  if (state_->llt.info() != Eigen::Success) not_definite();
}

Factorization::~Factorization() = default;

void Factorization::solve(float* rows, int64_t count) const {
  const int64_t n = state_->llt.rows();
  Eigen::Map<Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic>> block(rows, n, count);  // a column a row
  ColumnMajor x = block.cast<double>();
  state_->llt.solveInPlace(x);
  block = x.cast<float>();
}

std::vector<float> unit_upper_factor(std::span<const float> h, std::span<const int32_t> order) {
  fix_block_sizes();
  const auto n = static_cast<int64_t>(order.size());
  // A Cholesky factor read backwards is upper triangular.
  ColumnMajor a(n, n);
  for (int64_t c = 0; c < n; ++c)
    for (int64_t r = 0; r < n; ++r)
      a(r, c) = static_cast<double>(h[static_cast<size_t>(order[static_cast<size_t>(n - 1 - r)] * n +
                                                          order[static_cast<size_t>(n - 1 - c)])]);
  const Eigen::LLT<Eigen::Ref<ColumnMajor>> llt(a);
  if (llt.info() != Eigen::Success) not_definite();
  std::vector<float> u(static_cast<size_t>(n * n));
  for (int64_t c = 0; c < n; ++c) {
    const double diagonal = a(n - 1 - c, n - 1 - c);
    for (int64_t r = 0; r <= c; ++r)
      u[static_cast<size_t>(r * n + c)] = static_cast<float>(a(n - 1 - r, n - 1 - c) / diagonal);
  }
  return u;
}

std::vector<double> solve_small(std::span<const double> a, std::span<const double> b) {
  const auto n = static_cast<int64_t>(b.size());
  RowMajor m = Eigen::Map<const RowMajor>(a.data(), n, n);
  // Some unknowns may be tied (a group whose codes are all alike): the ridge picks the smallest change.
  for (int64_t i = 0; i < n; ++i) m(i, i) += 1e-9 + 1e-6 * m(i, i);
  const Eigen::VectorXd x = m.ldlt().solve(Eigen::Map<const Eigen::VectorXd>(b.data(), n));
  return {x.data(), x.data() + n};
}

}  // namespace mlxe::calibrate
