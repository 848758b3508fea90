#include "calibrate/moments.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/thread_pool.h"
#include "engine_cpu/arena.h"
#include "kernels/bf16_table.h"
#include "kernels/table.h"
#include "mlx_encoder/error.h"

namespace mlxe::calibrate {
namespace {

constexpr int64_t kBlock = 512;   // tokens whose products are added at a time
constexpr int64_t kRowTile = 96;  // rows of the sums one unit of work makes
constexpr int64_t kColumnTile = kBf16Panel;

// NaN need not stay one: the sums beside the products tell of it.
uint16_t to_bf16(float value) {
  const uint32_t u = std::bit_cast<uint32_t>(value);
  return static_cast<uint16_t>((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}

}  // namespace

MomentSums::MomentSums(int64_t columns, int64_t residual_columns, ThreadPool& pool)
    : pool_(pool),
      columns_(columns),
      left_(static_cast<size_t>(std::max(columns, residual_columns) * kBlock)),
      right_(static_cast<size_t>((columns + kBf16Panel - 1) / kBf16Panel * kBf16Panel * kBlock)) {
  const auto make = [&](Sums& sums, int64_t rows) {
    sums.sum.resize(static_cast<size_t>(rows));
    sums.pivot.resize(static_cast<size_t>(rows));
    sums.products.resize(static_cast<size_t>(rows * columns + kernels().panel));
  };
  make(x_, columns);
  make(drift_, columns);
  if (residual_columns > 0) make(residual_, residual_columns);
}

// sums += left right^T: for a symmetric sum only the tiles that reach the diagonal or lie right of it.
void MomentSums::add_products(int64_t rows, int64_t depth, Form form, std::vector<float>& sums) {
  const Bf16Kernels& k = bf16_kernels();
  const int64_t row_tiles = (rows + kRowTile - 1) / kRowTile;
  const int64_t panels = (columns_ + kBf16Panel - 1) / kBf16Panel;
  pool_.parallel_for(row_tiles * panels, [&](int64_t unit, int) {
    const int64_t row = unit / panels * kRowTile, panel = unit % panels, column = panel * kBf16Panel;
    if (form == Form::symmetric && column + kBf16Panel <= row) return;
    float* out = sums.data() + row * columns_ + column;
    k.matmul(left_.data() + row * kBlock, kBlock, std::min(kRowTile, rows - row),
             right_.data() + panel * kBlock * kBf16Panel, depth, out, columns_, out, columns_,
             std::min<int64_t>(kBf16Panel, columns_ - column));
  });
}

// `value(t, c)` of `count` tokens, times the root of the token's weight, becomes the left factor; that of x
// itself, which comes first, the right one too.
template <class Value>
void MomentSums::add_factor(Sums& sums, int64_t count, std::span<const float> weights, Form form,
                            Value&& value) {
  const auto rows = static_cast<int64_t>(sums.sum.size());
  const int64_t depth = cpu::up_to_multiple(count, kBf16Aligned);
  // By columns: each index is one thread's, whatever their number.
  pool_.parallel_for((rows + kColumnTile - 1) / kColumnTile, [&](int64_t tile, int) {
    const int64_t begin = tile * kColumnTile, end = std::min(rows, begin + kColumnTile);
    if (tokens_ == 0)
      for (int64_t t = 0; t < count; ++t)
        for (int64_t c = begin; c < end; ++c)
          sums.pivot[static_cast<size_t>(c)] += value(t, c) / static_cast<float>(count);
    uint16_t rounded[kBlock][kColumnTile] = {};  // of a tile of columns, then turned
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

void MomentSums::add(const PartView& x, const PartView* residual, std::span<const float> weights) {
  for (int64_t first = 0; first < x.changed.rows(); first += kBlock) {
    const int64_t count = std::min(kBlock, x.changed.rows() - first);
    const auto here = weights.subspan(static_cast<size_t>(first), static_cast<size_t>(count));
    add_factor(x_, count, here, Form::symmetric,
               [&](int64_t t, int64_t c) { return x.changed.row(first + t)[c]; });
    const auto difference = [first](const PartView& of) {
      return [&of, first](int64_t t, int64_t c) {
        return of.original.row(first + t)[c] - of.changed.row(first + t)[c];
      };
    };
    add_factor(drift_, count, here, Form::full, difference(x));
    if (residual) add_factor(residual_, count, here, Form::full, difference(*residual));
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
  Moments m{.columns = columns_, .tokens = tokens_};
  if (!(weight_ > 0)) weight_ = 1;
  for (size_t c = 0; c < x_.sum.size(); ++c) {
    m.mean.push_back(x_.sum[c] / weight_);
    m.original_mean.push_back((x_.sum[c] + drift_.sum[c]) / weight_);
    if (!std::isfinite(m.mean[c]) || !std::isfinite(m.original_mean[c]))
      throw Error(ErrorCode::numeric,
                  "its inputs hold NaN or infinity on the calibration texts; the model can't be run "
                  "in float32");
  }
  for (const double sum : residual_.sum) m.residual_mean.push_back(sum / weight_);
  centre(drift_);
  centre(residual_);
  centre(x_);
  std::vector<float>& h = x_.products;
  const auto k = static_cast<size_t>(columns_);
  for (size_t r = 0; r < k; ++r) {
    // A variance can come out a little below zero where a column never changes.
    h[r * k + r] = std::max(h[r * k + r], 0.0f);
    for (size_t c = 0; c < r; ++c) h[r * k + c] = h[c * k + r];
    if (!std::isfinite(h[r * k + r]))
      throw Error(ErrorCode::numeric,
                  "its inputs on the calibration texts are too large to square in float32");
  }
  m.covariance = std::move(h);
  m.drift = std::move(drift_.products);
  m.residual_drift = std::move(residual_.products);
  return m;
}

}  // namespace mlxe::calibrate
