#include "metrics/vector_space.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>

#include "base/thread_pool.h"
#include "kernels/table.h"

namespace mlxe {
namespace {

constexpr int64_t kMostNeighbours = 10;
constexpr int64_t kFewestTexts = 3;  // of two, each is the other's only neighbour
constexpr int64_t kQueries = 32;     // rows of similarities a thread holds at once

double inverse_length(std::span<const float> row) {
  double squares = 0;
  for (const float x : row) squares += static_cast<double>(x) * x;
  return squares == 0 ? 0 : 1 / std::sqrt(squares);
}

// Products of any rows with n fixed ones, by the engine's kernels.
class Products {
 public:
  Products(const std::vector<float>& rows, int64_t n, int64_t columns)
      : rows_(rows),
        n_(n),
        columns_(columns),
        panel_(kernels().panel),
        zeros_(static_cast<size_t>(panel_)),
        tiles_(static_cast<size_t>((n + panel_ - 1) / panel_ * panel_ * columns)) {
    for (int64_t i = 0; i < n_; i += panel_)
      kernels().pack(row(i), columns_, std::min(panel_, n_ - i), columns_, tiles_.data() + i * columns_);
  }

  // out: [count, n], of the fixed rows [first, first + count) with all.
  void of(int64_t first, int64_t count, float* out) const {
    for (int64_t i = 0; i < n_; i += panel_)
      kernels().matmul(row(first), columns_, count, tiles_.data() + i * columns_, panel_, columns_,
                       zeros_.data(), 0, out + i, n_, std::min(panel_, n_ - i));
  }

 private:
  const float* row(int64_t i) const { return rows_.data() + i * columns_; }

  const std::vector<float>& rows_;
  int64_t n_, columns_, panel_;
  std::vector<float> zeros_, tiles_;
};

// How many of the k that are nearest in `quantized` are among the k nearest in `original`; those as near as
// the k-th count. `order` is scratch: the indices of all.
int64_t kept_neighbours(std::span<const float> original, std::span<const float> quantized, int64_t k,
                        std::span<int32_t> order) {
  const auto nearest = [&](std::span<const float> similarity) {
    std::iota(order.begin(), order.end(), 0);
    std::nth_element(order.begin(), order.begin() + (k - 1), order.end(), [&](int32_t a, int32_t b) {
      return similarity[a] != similarity[b] ? similarity[a] > similarity[b] : a < b;
    });
  };
  nearest(original);
  const float farthest = original[order[k - 1]];
  nearest(quantized);
  return std::count_if(order.begin(), order.begin() + k, [&](int32_t i) { return original[i] >= farthest; });
}

}  // namespace

int64_t neighbours_of(int64_t texts) {
  return std::clamp<int64_t>((texts - 1) / 10, 1, kMostNeighbours);
}

void MeanCosine::add(std::span<const float> row) {
  sum_.resize(row.size());
  const double factor = inverse_length(row);
  for (size_t i = 0; i < row.size(); ++i) sum_[i] += factor * row[i];
  squares_ += factor == 0 ? 0 : 1;
  ++rows_;
}

double MeanCosine::value() const {
  if (rows_ < 2) return 1;
  // The sum's square holds each pair twice and each row with itself.
  double all = 0;
  for (const double x : sum_) all += x * x;
  const double n = static_cast<double>(rows_);
  return (all - squares_) / (n * (n - 1));
}

double MeanCosine::relative_error(double cosine) const {
  const double error = 1 - cosine, spread = 1 - value();
  if (error == 0) return 0;
  return spread > 0 ? error / spread : std::numeric_limits<double>::infinity();
}

VectorSpaceMeter::VectorSpaceMeter(std::span<const size_t> different, size_t most)
    : different_(different.begin(), different.end()) {
  const size_t n = different_.size(), count = std::min(most, n);
  for (size_t i = 0; i < count; ++i) compared_.push_back(different_[i * n / count]);
}

void VectorSpaceMeter::add(size_t index, std::span<const float> original, std::span<const float> quantized) {
  if (!std::ranges::binary_search(different_, index)) return;
  mean_.add(original);
  const auto found = std::ranges::lower_bound(compared_, index);
  if (found == compared_.end() || *found != index) return;
  columns_ = original.size();
  const size_t at = static_cast<size_t>(found - compared_.begin()) * columns_;
  for (int side = 0; side < 2; ++side) {
    const std::span<const float> row = side == 0 ? original : quantized;
    const double factor = inverse_length(row);
    units_[side].resize(compared_.size() * columns_);
    for (size_t i = 0; i < columns_; ++i) units_[side][at + i] = static_cast<float>(factor * row[i]);
  }
}

double VectorSpaceMeter::kept(int64_t k, int threads) const {
  const auto n = static_cast<int64_t>(compared_.size()), columns = static_cast<int64_t>(columns_);
  const Products original(units_[0], n, columns), quantized(units_[1], n, columns);
  std::vector<int64_t> kept(static_cast<size_t>((n + kQueries - 1) / kQueries));
  ThreadPool pool(threads);
  pool.parallel_for(static_cast<int64_t>(kept.size()), [&](int64_t block, int) {
    const int64_t first = block * kQueries, count = std::min(kQueries, n - first);
    std::vector<float> a(static_cast<size_t>(count * n)), b(a.size());
    std::vector<int32_t> order(static_cast<size_t>(n));
    original.of(first, count, a.data());
    quantized.of(first, count, b.data());
    for (int64_t q = 0; q < count; ++q) {
      const std::span<float> x(a.data() + q * n, static_cast<size_t>(n)),
          y(b.data() + q * n, static_cast<size_t>(n));
      x[first + q] = y[first + q] = -std::numeric_limits<float>::infinity();  // a text is not its neighbour
      kept[static_cast<size_t>(block)] += kept_neighbours(x, y, k, order);
    }
  });
  return static_cast<double>(std::reduce(kept.begin(), kept.end())) / static_cast<double>(n * k);
}

std::optional<VectorSpace> VectorSpaceMeter::result(double cosine, int threads) const {
  if (mean_.rows() < kFewestTexts) return std::nullopt;
  VectorSpace space{.texts = mean_.rows(),
                    .mean_cosine = mean_.value(),
                    .relative_error = mean_.relative_error(cosine),
                    .compared = static_cast<int64_t>(compared_.size())};
  space.neighbours = neighbours_of(space.compared);
  const auto finite = [](const std::vector<float>& v) {
    return std::ranges::all_of(v, [](float x) { return std::isfinite(x); });
  };
  space.neighbours_kept = finite(units_[0]) && finite(units_[1])
                              ? kept(space.neighbours, threads)
                              : std::numeric_limits<double>::quiet_NaN();  // which passes no gate
  return space;
}

}  // namespace mlxe
