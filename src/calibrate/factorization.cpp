#include "calibrate/factorization.h"

#include <Eigen/Cholesky>

#include "mlx_encoder/error.h"

namespace mlxe::calibrate {
namespace {

using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using ColumnMajor = Eigen::MatrixXd;

// By default Eigen chooses block sizes by the processor's caches. Sums would then differ between machines.
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

// The Cholesky factor of P H P^T in reverse order, read backwards, is upper triangular.
struct Factorization::State {
  std::vector<int32_t> order;  // reversed
  ColumnMajor a;
  std::unique_ptr<Eigen::LLT<Eigen::Ref<ColumnMajor>>> llt;  // in place
};

Factorization::Factorization(const PanelMatrix& h, std::span<const int32_t> order)
    : state_(std::make_unique<State>()) {
  fix_block_sizes();
  State& s = *state_;
  s.order.assign(order.rbegin(), order.rend());
  const auto n = static_cast<int64_t>(order.size());
  s.a.resize(n, n);
  for (int64_t c = 0; c < n; ++c)
    for (int64_t r = c; r < n; ++r)
      s.a(r, c) = static_cast<double>(h.at(s.order[static_cast<size_t>(c)], s.order[static_cast<size_t>(r)]));
  s.llt = std::make_unique<Eigen::LLT<Eigen::Ref<ColumnMajor>>>(s.a);
  if (s.llt->info() != Eigen::Success) not_definite();
}

Factorization::~Factorization() = default;

void Factorization::solve(float* rows, int64_t count) const {
  const auto n = static_cast<int64_t>(state_->order.size());
  ColumnMajor x(n, count);  // one column per row
  for (int64_t r = 0; r < count; ++r)
    for (int64_t i = 0; i < n; ++i)
      x(i, r) = static_cast<double>(rows[r * n + state_->order[static_cast<size_t>(i)]]);
  state_->llt->solveInPlace(x);
  for (int64_t r = 0; r < count; ++r)
    for (int64_t i = 0; i < n; ++i)
      rows[r * n + state_->order[static_cast<size_t>(i)]] = static_cast<float>(x(i, r));
}

std::vector<float> Factorization::unit_upper() const {
  const ColumnMajor& a = state_->a;
  const int64_t n = a.rows();
  std::vector<float> u(static_cast<size_t>(n * n + kernels().panel));
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
  // The system may be singular (a group whose codes are all equal). The ridge then selects the smallest change.
  for (int64_t i = 0; i < n; ++i) m(i, i) += 1e-9 + 1e-6 * m(i, i);
  const Eigen::VectorXd x = m.ldlt().solve(Eigen::Map<const Eigen::VectorXd>(b.data(), n));
  return {x.data(), x.data() + n};
}

}  // namespace mlxe::calibrate
