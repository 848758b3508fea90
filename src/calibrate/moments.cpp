#include "calibrate/moments.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/thread_pool.h"
#include "calibrate/products.h"
#include "engine_cpu/arena.h"
#include "kernels/bf16_table.h"
#include "kernels/table.h"
#include "mlx_encoder/error.h"

namespace mlxe::calibrate {
namespace {

// Tokens whose products are added at a time: those of a part (calibration_ops.cpp), if its texts are short.
constexpr int64_t kBlock = 576;
constexpr int64_t kRowTile = 96;  // rows of the sums one unit of work makes
constexpr int64_t kColumnTile = kBf16Panel;

// A NaN may be lost here: `Sums::sum` shows it.
uint16_t to_bf16(float value) {
  const uint32_t u = std::bit_cast<uint32_t>(value);
  return static_cast<uint16_t>((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}

}  // namespace

MomentSums::MomentSums(int64_t columns, int64_t outputs, ThreadPool& pool)
    : pool_(pool),
      columns_(columns),
      target_(outputs > 0 ? Target::outputs : Target::inputs),
      left_(static_cast<size_t>(std::max(columns, outputs) * kBlock)),
      right_(static_cast<size_t>((columns + kBf16Panel - 1) / kBf16Panel * kBf16Panel * kBlock)) {
  const auto make = [&](Sums& sums, int64_t rows) {
    sums.sum.resize(static_cast<size_t>(rows));
    sums.pivot.resize(static_cast<size_t>(rows));
    sums.products.resize(static_cast<size_t>(rows * columns + kernels().panel));
  };
  make(x_, columns);
  make(d_, outputs > 0 ? outputs : columns);
}

// sums += left right^T. Of a symmetric sum, only tiles on or right of the diagonal are computed. The products of a
// block are summed on their own first. Added one by one to the sum of all tokens, small products would be lost, and
// the covariance would no longer be positive definite.
void MomentSums::add_products(int64_t rows, int64_t depth, Form form, std::vector<float>& sums) {
  const Bf16Kernels& k = bf16_kernels();
  const int64_t row_tiles = (rows + kRowTile - 1) / kRowTile;
  const int64_t panels = (columns_ + kBf16Panel - 1) / kBf16Panel;
  pool_.parallel_for(row_tiles * panels, [&](int64_t unit, int) {
    const int64_t row = unit / panels * kRowTile, panel = unit % panels, column = panel * kBf16Panel;
    if (form == Form::symmetric && column + kBf16Panel <= row) return;
    const int64_t here = std::min(kRowTile, rows - row),
                  width = std::min<int64_t>(kBf16Panel, columns_ - column);
    float tile[kRowTile][kBf16Panel];
    k.matmul(left_.data() + row * kBlock, kBlock, here, right_.data() + panel * kBlock * kBf16Panel, depth,
             kZeros, 0, tile[0], kBf16Panel, width);
    for (int64_t r = 0; r < here; ++r) {
      float* out = sums.data() + (row + r) * columns_ + column;
      for (int64_t c = 0; c < width; ++c) out[c] += tile[r][c];
    }
  });
}

// The left factor is `value(t, c)` of `count` tokens, times the square root of the token's weight. The factor of x,
// which is added first, is also the right factor.
template <class Value>
void MomentSums::add_factor(Sums& sums, int64_t count, std::span<const float> weights, Form form,
                            Value&& value) {
  const auto rows = static_cast<int64_t>(sums.sum.size());
  const int64_t depth = cpu::up_to_multiple(count, kBf16Aligned);
  // One thread computes a column, so that sums do not depend on the number of threads.
  pool_.parallel_for((rows + kColumnTile - 1) / kColumnTile, [&](int64_t tile, int) {
    const int64_t begin = tile * kColumnTile, end = std::min(rows, begin + kColumnTile);
    if (tokens_ == 0)
      for (int64_t t = 0; t < count; ++t)
        for (int64_t c = begin; c < end; ++c)
          sums.pivot[static_cast<size_t>(c)] += value(t, c) / static_cast<float>(count);
    uint16_t rounded[kBlock][kColumnTile] = {};  // of a tile of columns, transposed below
    double sum[kColumnTile] = {};
    for (int64_t t = 0; t < count; ++t) {
      const float weight = weights[static_cast<size_t>(t)], root = std::sqrt(weight);
      for (int64_t c = begin; c < end; ++c) {
        const float v = value(t, c);
        sum[c - begin] += static_cast<double>(weight * v);
        rounded[t][c - begin] = to_bf16(root * (v - sums.pivot[static_cast<size_t>(c)]));
      }
    }
    for (int64_t c = begin; c < end; ++c) {
      sums.sum[static_cast<size_t>(c)] += sum[c - begin];
      for (int64_t t = 0; t < depth; ++t) left_[static_cast<size_t>(c * kBlock + t)] = rounded[t][c - begin];
    }
    if (form == Form::full) return;
    uint16_t* panel = right_.data() + tile * kBlock * kBf16Panel;
    for (int64_t t = 0; t < depth; ++t)
      for (int64_t c = 0; c < kBf16Panel; ++c) panel[bf16_index(t, c)] = rounded[t][c];
  });
  add_products(rows, depth, form, sums.products);
}

void MomentSums::add(const cpu::Tensor& x, const cpu::Tensor& d0, const cpu::Tensor& d1,
                     std::span<const float> weights) {
  for (int64_t first = 0; first < x.rows(); first += kBlock) {
    const int64_t count = std::min(kBlock, x.rows() - first);
    const auto here = weights.subspan(static_cast<size_t>(first), static_cast<size_t>(count));
    add_factor(x_, count, here, Form::symmetric, [&](int64_t t, int64_t c) { return x.row(first + t)[c]; });
    add_factor(d_, count, here, Form::full,
               [&](int64_t t, int64_t c) { return d0.row(first + t)[c] - d1.row(first + t)[c]; });
    tokens_ += count;
    for (const float w : here) weight_ += static_cast<double>(w);
  }
}

// sum (a - mean_a) x^T = sum (a - pivot) (x - pivot)^T - weight (mean_a - pivot) (mean_x - pivot)^T
void MomentSums::centre(Sums& sums) const {
  const auto columns = static_cast<size_t>(columns_);
  pool_.parallel_for(static_cast<int64_t>(sums.sum.size()), [&](int64_t r, int) {
    const auto row = static_cast<size_t>(r);
    const double offset = sums.sum[row] / weight_ - static_cast<double>(sums.pivot[row]);
    for (size_t c = 0; c < columns; ++c) {
      float& value = sums.products[row * columns + c];
      value = static_cast<float>(static_cast<double>(value) / weight_ -
                                 offset * (x_.sum[c] / weight_ - static_cast<double>(x_.pivot[c])));
    }
  });
}

Moments MomentSums::finish() {
  left_ = right_ = {};
  Moments m{.columns = columns_, .tokens = tokens_, .target = target_};
  if (!(weight_ > 0)) weight_ = 1;
  for (const double sum : x_.sum) m.mean.push_back(sum / weight_);
  for (const double sum : d_.sum) m.target_mean.push_back(sum / weight_);
  const auto finite = [](double value) { return std::isfinite(value); };
  if (!std::ranges::all_of(m.mean, finite) || !std::ranges::all_of(m.target_mean, finite))
    throw Error(ErrorCode::numeric,
                "its inputs hold NaN or infinity on the calibration texts; the model can't be run "
                "in float32");
  centre(d_);
  centre(x_);
  std::vector<float>& h = x_.products;
  const auto k = static_cast<size_t>(columns_);
  for (size_t r = 0; r < k; ++r) {
    // The variance of a constant column can be slightly below zero.
    h[r * k + r] = std::max(h[r * k + r], 0.0f);
    for (size_t c = 0; c < r; ++c) h[r * k + c] = h[c * k + r];
    if (!std::isfinite(h[r * k + r]))
      throw Error(ErrorCode::numeric,
                  "its inputs on the calibration texts are too large to square in float32");
  }
  m.covariance = std::move(h);
  m.cross = std::move(d_.products);
  return m;
}

}  // namespace mlxe::calibrate
