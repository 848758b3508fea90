// Matrix products of float32 activations with stored weights.
//
// y[M, N] = x[M, K] W[N, K]^T + b. A unit of work is a block of rows and a tile of columns. It processes K
// in slices: decodes the weights of a slice to a float32 tile [slice][panel] (32 KB, so that it stays in
// L1), and multiplies all its rows by the tile. So weights are decoded once for each block of rows. A sum
// over K is the sum of its slices' sums, in order, whatever the blocks: a result depends only on its own
// row.
#include <algorithm>

#include "engine_cpu/ops.h"

namespace mlxe::cpu {
namespace {

constexpr int64_t kSlice = 256;     // of K; a multiple of every group size
constexpr int64_t kRowBlock = 256;  // rows that share a tile

// Makes a tile of weight rows [row, row + count), columns [first, first + columns).
void make_tile(const Kernels& kernels, const Weight& w, int64_t row, int64_t count, int64_t first,
               int64_t columns, float* decoded, float* tile) {
  if (const float* stored = w.stored_floats(row, first)) {
    kernels.pack(stored, w.columns(), count, columns, tile);
    return;
  }
  for (int64_t n = 0; n < count; ++n) w.decode(row + n, first, columns, decoded + n * columns);
  kernels.pack(decoded, columns, count, columns, tile);
}

}  // namespace

ActivationKernel kernel_of(const Kernels& kernels, Activation activation) {
  switch (activation) {
    case Activation::identity:
      return nullptr;
    case Activation::relu:
      return kernels.relu;
    case Activation::gelu_erf:
      return kernels.gelu_erf;
    case Activation::gelu_tanh:
      return kernels.gelu_tanh;
    case Activation::gelu_quick:
      return kernels.gelu_quick;
    case Activation::silu:
      return kernels.silu;
    case Activation::tanh:
      return kernels.tanh;
    case Activation::sigmoid:
      return kernels.sigmoid;
  }
  return nullptr;
}

int64_t CpuOps::float_block_floats() const {
  return 2 * kSlice * kernels_.panel;
}

void CpuOps::float_block(const Tensor& x, const Weight& w, int64_t first_weight_row, const float* bias,
                         const Block& block, float* out, int64_t stride, float* memory) {
  const auto [first_row, rows, first_column, columns] = block;
  const int64_t in = x.columns(), panel = kernels_.panel;
  float* tile = memory;
  float* decoded = tile + kSlice * panel;
  for (int64_t k = 0; k < in; k += kSlice) {
    const int64_t slice = std::min(kSlice, in - k);
    make_tile(kernels_, w, first_weight_row + first_column, columns, k, slice, decoded, tile);
    const float* from = k > 0 ? out : bias != nullptr ? bias + first_column : kZeroRow;
    kernels_.matmul(x.row(first_row) + k, x.stride(), rows, tile, panel, slice, from, k > 0 ? stride : 0, out,
                    stride, columns);
  }
}

void CpuOps::float_linear(const Tensor& x, const Weight& w, int64_t first_weight_row, const float* bias,
                          ActivationKernel activation, const Tensor& y) {
  const int64_t out_columns = y.columns();
  const int64_t panel = kernels_.panel, panels = (out_columns + panel - 1) / panel;
  const int64_t blocks = (x.rows() + kRowBlock - 1) / kRowBlock;
  loop(blocks * panels, [&](int64_t unit, int slot) {
    const int64_t first_row = unit / panels * kRowBlock, rows = std::min(kRowBlock, x.rows() - first_row);
    const int64_t first_column = unit % panels * panel, columns = std::min(panel, out_columns - first_column);
    float* out = y.row(first_row) + first_column;
    float_block(x, w, first_weight_row, bias, {first_row, rows, first_column, columns}, out, y.stride(),
                scratch(slot, float_block_floats()));
    if (activation != nullptr) activation(out, y.stride(), rows, columns);
  });
}

Tensor CpuOps::linear(const Tensor& x, const Linear& l, Activation activation) {
  const Weight& w = matrix(l.weight, l.rows(), l.in);
  Tensor y = workspace_.arena.tensor(x.rows(), l.out);
  if (packed(l) != nullptr)
    packed_linears(x, {&l, 1}, kernel_of(kernels_, activation), {&y, 1});
  else
    float_linear(x, w, l.first_row, bias_of(l), kernel_of(kernels_, activation), y);
  return y;
}

std::vector<Tensor> CpuOps::multi_linear(const Tensor& x, std::span<const Linear> ls) {
  std::vector<Tensor> ys;
  const bool all_packed =
      std::all_of(ls.begin(), ls.end(), [&](const Linear& l) { return packed(l) != nullptr; });
  for (const Linear& l : ls)
    ys.push_back(all_packed ? workspace_.arena.tensor(x.rows(), l.out) : linear(x, l));
  if (all_packed) packed_linears(x, ls, nullptr, ys);
  return ys;
}

const float* CpuOps::bias_of(const Linear& l) const {
  return l.bias == kNoWeight ? nullptr : vector(l.bias, l.rows()) + l.first_row;
}

Tensor CpuOps::feed_forward(const Tensor& x, const FeedForward& f) {
  const bool all_packed =
      packed(f.up) != nullptr && packed(f.down) != nullptr && (!f.gate || packed(*f.gate) != nullptr);
  if (all_packed) return packed_feed_forward(x, f);
  if (!f.gate) return linear(linear(x, f.up, f.activation), f.down);
  return linear(multiply(linear(x, *f.gate, f.activation), linear(x, f.up)), f.down);
}

Tensor CpuOps::activate(const Tensor& x, Activation activation) {
  Tensor y = workspace_.arena.tensor(x.rows(), x.columns());
  const ActivationKernel activate_block = kernel_of(kernels_, activation);
  for (int64_t m = 0; m < y.rows(); ++m) std::copy_n(x.row(m), x.columns(), y.row(m));
  if (activate_block != nullptr) activate_block(y.row(0), y.stride(), y.rows(), y.columns());
  return y;
}

}  // namespace mlxe::cpu
