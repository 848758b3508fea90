#include "calibrate/moments.h"

#include <algorithm>
#include <cmath>

#include "base/thread_pool.h"
#include "engine_cpu/arena.h"
#include "kernels/table.h"
#include "mlx_encoder/error.h"

namespace mlxe::calibrate {
namespace {

constexpr int64_t kBlock = 512;   // tokens whose products are added at a time
constexpr int64_t kRowTile = 96;  // rows of the sums one unit of work makes
constexpr int64_t kColumnTile = 64;

std::vector<float> square(int64_t columns) {
  return std::vector<float>(static_cast<size_t>(columns * columns + kernels().panel));
}

}  // namespace

MomentSums::MomentSums(int64_t columns, ThreadPool& pool)
    : pool_(pool),
      columns_(columns),
      sum_(static_cast<size_t>(columns)),
      difference_sum_(sum_.size()),
      pivot_(sum_.size()),
      difference_pivot_(sum_.size()),
      transposed_(static_cast<size_t>(columns * kBlock)),
      products_(square(columns)),
      drift_products_(square(columns)) {}

void MomentSums::add_products(const cpu::Tensor& x, int64_t first, int64_t count, Form form,
                              std::vector<float>& sums) {
  const Kernels& k = kernels();
  const int64_t row_tiles = (columns_ + kRowTile - 1) / kRowTile;
  const int64_t panels = (columns_ + k.panel - 1) / k.panel;
  pool_.parallel_for(row_tiles * panels, [&](int64_t unit, int) {
    const int64_t row = unit / panels * kRowTile, column = unit % panels * k.panel;
    if (form == Form::symmetric && column + k.panel <= row) return;
    const int64_t rows = std::min(kRowTile, columns_ - row);
    float* out = sums.data() + row * columns_ + column;
    k.matmul(transposed_.data() + row * kBlock, kBlock, rows, x.row(first) + column, x.stride(), count, out,
             columns_, out, columns_, std::min<int64_t>(k.panel, columns_ - column));
  });
}

void MomentSums::add(const cpu::Tensor& original, const cpu::Tensor& x) {
  for (int64_t first = 0; first < x.rows(); first += kBlock) {
    const int64_t count = std::min(kBlock, x.rows() - first);
    // By columns: each index is one thread's, whatever their number.
    const auto by_columns = [&](auto value, std::vector<double>& sum, std::vector<float>& pivot) {
      pool_.parallel_for((columns_ + kColumnTile - 1) / kColumnTile, [&](int64_t tile, int) {
        const int64_t begin = tile * kColumnTile, end = std::min(columns_, begin + kColumnTile);
        if (tokens_ == 0 && first == 0) {
          for (int64_t t = 0; t < count; ++t)
            for (int64_t c = begin; c < end; ++c)
              pivot[static_cast<size_t>(c)] += value(t, c) / static_cast<float>(count);
        }
        for (int64_t t = 0; t < count; ++t)
          for (int64_t c = begin; c < end; ++c) {
            const float v = value(t, c);
            sum[static_cast<size_t>(c)] += static_cast<double>(v);
            transposed_[static_cast<size_t>(c * kBlock + t)] = v - pivot[static_cast<size_t>(c)];
          }
      });
    };
    by_columns([&](int64_t t, int64_t c) { return x.row(first + t)[c]; }, sum_, pivot_);
    add_products(x, first, count, Form::symmetric, products_);
    by_columns([&](int64_t t, int64_t c) { return original.row(first + t)[c] - x.row(first + t)[c]; },
               difference_sum_, difference_pivot_);
    add_products(x, first, count, Form::full, drift_products_);
    tokens_ += count;
  }
}

Moments MomentSums::finish() {
  Moments m{.columns = columns_, .tokens = tokens_};
  const double n = static_cast<double>(std::max<int64_t>(tokens_, 1));
  for (size_t c = 0; c < sum_.size(); ++c) {
    m.mean.push_back(sum_[c] / n);
    m.original_mean.push_back((sum_[c] + difference_sum_[c]) / n);
    if (!std::isfinite(m.mean[c]) || !std::isfinite(m.original_mean[c]))
      throw Error(ErrorCode::numeric,
                  "its inputs hold NaN or infinity on the calibration texts; the model can't be run "
                  "in float32");
  }
  // sum (a - mean_a) x^T = sum (a - pivot) x^T - n (mean_a - pivot) mean_x^T
  const auto centre = [&](std::vector<float>& sums, const std::vector<double>& a,
                          const std::vector<float>& pivot) {
    pool_.parallel_for(columns_, [&](int64_t r, int) {
      const auto row = static_cast<size_t>(r);
      const double offset = a[row] / n - static_cast<double>(pivot[row]);
      for (size_t c = 0; c < sum_.size(); ++c) {
        float& value = sums[row * sum_.size() + c];
        value = static_cast<float>(static_cast<double>(value) / n - offset * m.mean[c]);
      }
    });
  };
  centre(products_, sum_, pivot_);
  centre(drift_products_, difference_sum_, difference_pivot_);
  const size_t k = sum_.size();
  for (size_t r = 0; r < k; ++r) {
    // A variance can come out a little below zero where a column never changes.
    products_[r * k + r] = std::max(products_[r * k + r], 0.0f);
    for (size_t c = 0; c < r; ++c) products_[r * k + c] = products_[c * k + r];
    if (!std::isfinite(products_[r * k + r]))
      throw Error(ErrorCode::numeric,
                  "its inputs on the calibration texts are too large to square in float32");
  }
  m.covariance = std::move(products_);
  m.drift = std::move(drift_products_);
  return m;
}

}  // namespace mlxe::calibrate
