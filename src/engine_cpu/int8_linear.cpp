// Matrix products of 8-bit activations with packed weights.
//
// The work is cut into units of a block of rows and 64 output columns, two panels. A panel meets all rows of
// the block in slices of K that leave it in L1. A slice's sum is made in registers, and the sum over K is the
// sum of its slices' sums, in order, whatever the blocks: a row's result depends on nothing but the row.
#include <algorithm>

#include "engine_cpu/ops.h"

namespace mlxe::cpu {
namespace {

constexpr int64_t kSlice = 768;       // of K; 24 KB of a panel
constexpr int64_t kRowBlock = 128;    // rows that share one pass over a panel
constexpr int64_t kUnitColumns = 64;  // the widest group: what a unit makes can be quantized in it
constexpr int64_t kManyUnits = 8;     // for a thread: with fewer, halves of units share the work better

int64_t units_of(int64_t columns, int64_t unit = kUnitColumns) {
  return (columns + unit - 1) / unit;
}

}  // namespace

const PackedWeight* CpuOps::packed(const Linear& l) const {
  return group_ == 0 ? nullptr : matrix(l.weight, l.out, l.in).packed();
}

void CpuOps::add_codes(Tensor& x) {
  if (group_ > 0) workspace_.arena.add_codes(x, group_);
}

void CpuOps::quantize(const Tensor& x, int64_t row, int64_t first_column, int64_t columns) {
  int8_.quantize(x.row(row) + first_column, columns, group_, x.codes(row) + first_column,
                 x.groups(row) + 2 * first_column / group_);
}

void CpuOps::int8_block(const Tensor& x, const Linear& l, const Block& block, float* out, int64_t stride,
                        int slot) {
  const PackedWeight& w = *packed(l);
  const float* bias = l.bias == kNoWeight ? nullptr : vector(l.bias, l.out);
  uint8_t* expansion = expanded(slot, kSlice * kInt8Panel);
  for (int64_t n = 0; n < block.columns; n += kInt8Panel) {
    const int64_t first = block.first_column + n, panel = first / kInt8Panel;
    const int64_t columns = std::min<int64_t>(kInt8Panel, block.columns - n);
    for (int64_t k = 0; k < w.columns(); k += kSlice) {
      const int64_t slice = std::min(kSlice, w.columns() - k);
      const Int8Weights weights = w.panel(int8_, panel, k, slice, expansion);
      const bool last = k + slice == w.columns();
      const uint8_t* next = !last                    ? w.codes(panel, k + slice)
                            : panel + 1 < w.panels() ? w.codes(panel + 1, 0)
                                                     : nullptr;
      // The first slice starts from the bias, the others add to what is there.
      const float* from = k > 0 ? out + n : bias != nullptr ? bias + first : kZeroRow;
      Int8Rows rows = x.int8_rows(block.first_row);
      rows.codes += k;
      rows.groups += 2 * k / group_;
      int8_.matmul(rows, block.rows, weights, slice / group_, group_, from, k == 0 ? 0 : stride, out + n,
                   stride, columns, next);
    }
  }
}

Tensor CpuOps::with_codes(const Tensor& x) {
  if (x.has_codes()) return x;
  Tensor y = x;
  add_codes(y);
  loop_rows(y.rows(), [&](int64_t m, int) { quantize(y, m, 0, y.columns()); });
  return y;
}

void CpuOps::int8_linears(const Tensor& x, std::span<const Linear> ls, ActivationKernel activation,
                          std::span<const Tensor> ys) {
  const Tensor quantized = with_codes(x);
  const int64_t blocks = (x.rows() + kRowBlock - 1) / kRowBlock;
  int64_t all_columns = 0;
  for (const Linear& l : ls) all_columns += l.out;
  const int64_t width = blocks * units_of(all_columns) < kManyUnits * threads() ? kInt8Panel : kUnitColumns;
  int64_t units = 0;  // over the columns of all products
  for (const Linear& l : ls) units += units_of(l.out, width);
  loop(blocks * units, [&](int64_t unit, int slot) {
    const int64_t row = unit / units * kRowBlock;
    int64_t within = unit % units;
    size_t i = 0;
    for (; within >= units_of(ls[i].out, width); ++i) within -= units_of(ls[i].out, width);
    const Linear& l = ls[i];
    const int64_t column = within * width;
    const Block block{row, std::min(kRowBlock, x.rows() - row), column, std::min(width, l.out - column)};
    float* out = ys[i].row(row) + column;
    int8_block(quantized, l, block, out, ys[i].stride(), slot);
    if (activation != nullptr) activation(out, ys[i].stride(), block.rows, block.columns);
  });
}

// The wide inner values never exist as floats: a unit makes 64 columns of them, which the activation and the
// quantization then find in cache.
Tensor CpuOps::int8_feed_forward(const Tensor& x, const Linear& up, Activation activation,
                                 const Linear& down) {
  const ActivationKernel activate_tile = activation == Activation::gelu_erf && int8_.gelu_erf != nullptr
                                             ? int8_.gelu_erf
                                             : kernel_of(kernels_, activation);
  const Tensor quantized = with_codes(x);
  const Tensor inner = workspace_.arena.codes(x.rows(), up.out, group_);
  const int64_t units = units_of(up.out);
  const int64_t blocks = (x.rows() + kRowBlock - 1) / kRowBlock;
  loop(blocks * units, [&](int64_t unit, int slot) {
    const int64_t first = unit / units * kRowBlock, column = unit % units * kUnitColumns;
    const int64_t rows = std::min(kRowBlock, x.rows() - first);
    const int64_t columns = std::min(kUnitColumns, up.out - column);
    float* tile = scratch(slot, kRowBlock * kUnitColumns);
    int8_block(quantized, up, {first, rows, column, columns}, tile, kUnitColumns, slot);
    if (activate_tile != nullptr) activate_tile(tile, kUnitColumns, rows, columns);
    for (int64_t i = 0; i < rows; ++i)
      int8_.quantize(tile + i * kUnitColumns, columns, group_, inner.codes(first + i) + column,
                     inner.groups(first + i) + 2 * column / group_);
  });
  return linear(inner, down);
}

}  // namespace mlxe::cpu
