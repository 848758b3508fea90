// Products of 8-bit or bfloat16 activations with packed weights.
//
// A unit of work is a block of rows and some panels of output columns. It processes K in slices, each for
// all rows of the block. A row's sum is the sum of its slices' sums, in order, whatever the blocks: a
// result depends only on its own row.
#include <algorithm>

#include "engine_cpu/ops.h"

namespace mlxe::cpu {
namespace {

// Slice of K, columns of a unit, and rows that share one pass over the unit's weights. A slice holds 24 KB
// of codes (one panel) or 128 KB of bfloat16 (eight panels, decoded once a pass). Expanded 4-bit codes are
// written and then read: their slice has 12 KB, which stay in L1 beside the other data of a pass.
struct Blocking {
  int64_t slice, columns, rows;
};
constexpr Blocking kInt8Blocking{768, 64, 256};
constexpr int64_t kExpandedSlice = 384;
constexpr int64_t kFewRows = 48;  // up to so many rows, expanding 4-bit codes in registers is faster
constexpr Blocking kBf16Blocking{256, 256, 512};
constexpr int64_t kWholeGroups = 64;  // columns: a unit of a multiple of them can quantize its own output
constexpr int64_t kRowsAtOnce = 16;
constexpr int64_t kManyUnits = 8;  // for each thread; with fewer units, narrower ones balance better

const Blocking& blocking_of(const ActivationFormat& format) {
  return format.kind == Activations::bf16 ? kBf16Blocking : kInt8Blocking;
}

int64_t units_of(int64_t columns, int64_t unit) {
  return (columns + unit - 1) / unit;
}

// Number of columns of a unit, from `narrowest` to `widest`, for `columns` columns and `blocks` blocks of
// rows.
int64_t unit_columns(int64_t widest, int64_t narrowest, int64_t columns, int64_t blocks, int64_t threads) {
  int64_t width = widest;
  while (threads > 1 && width > narrowest && blocks * units_of(columns, width) < kManyUnits * threads)
    width /= 2;
  return width;
}

}  // namespace

const PackedWeight* CpuOps::packed(const Linear& l) const {
  return format_.kind == Activations::float32 ? nullptr : matrix(l.weight, l.rows(), l.in).packed();
}

void CpuOps::add_operand(Tensor& x) {
  if (format_.kind != Activations::float32) workspace_.arena.add_operand(x, format_);
}

void CpuOps::quantize_activations(const float* values, int64_t stride, const Tensor& x, const Block& block) {
  const auto [row, rows, column, columns] = block;
  if (format_.kind != Activations::bf16)
    return int8_.quantize(values, stride, rows, columns, format_.group, x.codes(row) + column,
                          x.codes_stride(), x.groups(row, column), x.group_stride());
  for (int64_t m = 0; m < rows; ++m) bf16_.round(values + m * stride, columns, x.bf16(row + m) + column);
}

void CpuOps::packed_block(const Tensor& x, const PackedLinear& l, const Block& block, float* out,
                          int64_t stride, int slot) {
  if (format_.kind == Activations::bf16)
    bf16_block(x, l, block, out, stride, slot);
  else
    int8_block(x, l, block, out, stride, slot);
}

// The first slice of K starts from the bias; the others add to the earlier sum.
CpuOps::Start CpuOps::start_of(const PackedLinear& l, int64_t first_column, int64_t k, const float* out,
                               int64_t stride) {
  if (k > 0) return {out, stride};
  return {l.bias == nullptr ? kZeroRow : l.bias + first_column, 0};
}

CpuOps::PackedLinear CpuOps::resolve(const Linear& l) const {
  return {packed(l), bias_of(l), l.out, l.first_row / kInt8Panel};
}

void CpuOps::int8_block(const Tensor& x, const PackedLinear& l, const Block& block, float* out,
                        int64_t stride, int slot) {
  const PackedWeight& w = *l.weight;
  const int64_t widest = w.expands() ? kExpandedSlice : kInt8Blocking.slice;
  const bool in_int4 = w.has_linear_int4(int8_) && block.rows <= kFewRows;
  const auto matmul = in_int4 ? int8_.matmul_int4 : int8_.matmul;
  uint8_t* expansion = expanded(slot, kExpandedSlice * kInt8Panel);
  for (int64_t n = 0; n < block.columns; n += kInt8Panel) {
    const int64_t first = block.first_column + n, panel = l.first_panel + first / kInt8Panel;
    const int64_t columns = std::min<int64_t>(kInt8Panel, block.columns - n);
    for (int64_t k = 0; k < w.columns(); k += widest) {
      const int64_t slice = std::min(widest, w.columns() - k);
      const Int8Weights weights =
          in_int4 ? w.int4_panel(panel, k) : w.int8_panel(int8_, panel, k, slice, expansion);
      const bool last = k + slice == w.columns();
      const ReadAhead next = !last ? w.ahead(panel, k + slice, std::min(slice, w.columns() - k - slice))
                             : panel + 1 < w.panels() ? w.ahead(panel + 1, 0, std::min(widest, w.columns()))
                                                      : ReadAhead{};
      const Start from = start_of(l, first, k, out + n, stride);
      matmul(x.int8_rows(block.first_row, k), block.rows, weights, slice / format_.group, format_.group,
             from.values, from.stride, out + n, stride, columns, next);
    }
  }
}

void CpuOps::bf16_block(const Tensor& x, const PackedLinear& l, const Block& block, float* out,
                        int64_t stride, int slot) {
  const PackedWeight& w = *l.weight;
  const int64_t first_panel = l.first_panel + block.first_column / kBf16Panel;
  const int64_t panels = units_of(block.columns, kBf16Panel);
  for (int64_t k = 0; k < w.columns(); k += kBf16Blocking.slice) {
    const int64_t slice = std::min(kBf16Blocking.slice, w.columns() - k), size = slice * kBf16Panel;
    auto* weights = reinterpret_cast<uint16_t*>(expanded(slot, 2 * panels * size));
    for (int64_t p = 0; p < panels; ++p) w.read_bf16(bf16_, first_panel + p, k, slice, weights + p * size);
    const Start from = start_of(l, block.first_column, k, out, stride);
    bf16_.matmul(x.bf16(block.first_row) + k, x.bf16_stride(), block.rows, weights, slice, from.values,
                 from.stride, out, stride, block.columns);
  }
}

Tensor CpuOps::quantize_activations(const Tensor& x) {
  if (x.has_operand()) return x;
  Tensor y = x;
  add_operand(y);
  loop_rows(y.rows(), [&](int64_t first, int64_t rows, int) { quantize_activations(y, first, rows); });
  return y;
}

void CpuOps::packed_linears(const Tensor& x, std::span<const Linear> ls, ActivationKernel activation,
                            std::span<const Tensor> ys) {
  const Tensor operand = quantize_activations(x);
  const Blocking& blocking = blocking_of(format_);
  const int64_t blocks = units_of(x.rows(), blocking.rows);
  int64_t all_columns = 0;
  std::vector<PackedLinear> linears;
  for (const Linear& l : ls) {
    linears.push_back(resolve(l));
    all_columns += l.out;
  }
  const int64_t width = unit_columns(blocking.columns, kInt8Panel, all_columns, blocks, threads());
  int64_t units = 0;  // of columns, over all products
  for (const PackedLinear& l : linears) units += units_of(l.columns, width);
  loop(blocks * units, [&](int64_t unit, int slot) {
    const int64_t row = unit / units * blocking.rows;
    int64_t within = unit % units;
    size_t i = 0;
    for (; within >= units_of(linears[i].columns, width); ++i) within -= units_of(linears[i].columns, width);
    const PackedLinear& l = linears[i];
    const int64_t column = within * width;
    const Block block{row, std::min(blocking.rows, x.rows() - row), column,
                      std::min(width, l.columns - column)};
    float* out = ys[i].row(row) + column;
    packed_block(operand, l, block, out, ys[i].stride(), slot);
    if (activation != nullptr) activation(out, ys[i].stride(), block.rows, block.columns);
  });
}

// The wide inner values are never stored as floats. A unit computes some of their columns, and applies the
// activation and quantizes (or rounds) them while they are in cache.
Tensor CpuOps::packed_feed_forward(const Tensor& x, const FeedForward& f) {
  const ActivationKernel activate_tile = f.activation == Activation::gelu_erf && bf16_.gelu_erf != nullptr
                                             ? bf16_.gelu_erf
                                             : kernel_of(kernels_, f.activation);
  const Tensor operand = quantize_activations(x);
  const int64_t inner_columns = f.up.out;
  const PackedLinear up = resolve(f.up), activated = f.gate ? resolve(*f.gate) : up;
  const Tensor inner = workspace_.arena.operand(x.rows(), inner_columns, format_);
  const Blocking& blocking = blocking_of(format_);
  const int64_t blocks = units_of(x.rows(), blocking.rows);
  const int64_t width = unit_columns(blocking.columns, kWholeGroups, inner_columns, blocks, threads());
  const int64_t units = units_of(inner_columns, width);
  loop(blocks * units, [&](int64_t unit, int slot) {
    const int64_t first = unit / units * blocking.rows, column = unit % units * width;
    const int64_t rows = std::min(blocking.rows, x.rows() - first);
    const int64_t columns = std::min(width, inner_columns - column);
    float* tile = scratch(slot, (f.gate ? 2 : 1) * blocking.rows * width);
    float* factors = tile + blocking.rows * width;
    const Block block{first, rows, column, columns};
    packed_block(operand, activated, block, tile, width, slot);
    if (f.gate) packed_block(operand, up, block, factors, width, slot);
    for (int64_t i = 0; i < rows; i += kRowsAtOnce) {  // few enough rows to stay in L1 between both steps
      const int64_t count = std::min(kRowsAtOnce, rows - i);
      if (activate_tile != nullptr) activate_tile(tile + i * width, width, count, columns);
      for (int64_t m = i; f.gate && m < i + count; ++m)
        kernels_.multiply(tile + m * width, factors + m * width, columns, tile + m * width);
      quantize_activations(tile + i * width, width, inner, {first + i, count, column, columns});
    }
  });
  return linear(inner, f.down);
}

}  // namespace mlxe::cpu
