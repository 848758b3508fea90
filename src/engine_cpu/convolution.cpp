// y = W * x + b along the tokens of each text.
//
// A unit of work is a tile of output channels. Each tap of the kernel is a matrix product of the rows that many tokens
// before or after, added to the sums of the taps before it. Where those rows are beyond the text's ends, they are zeros
// and left out.
#include <algorithm>

#include "engine_cpu/ops.h"

namespace mlxe::cpu {

Tensor CpuOps::convolution(const Tensor& x, const Convolution& c, const Batch& batch) {
  const int64_t width = c.channels / c.groups;  // of a group, in x and in y
  const Weight& w = matrix(c.weight, c.channels, width * c.kernel);
  const float* bias = vector(c.bias, c.channels);
  Tensor y = workspace_.arena.tensor(x.rows(), c.channels);
  const int64_t panel = kernels_.panel, panels = (width + panel - 1) / panel;
  loop(c.groups * panels, [&](int64_t unit, int slot) {
    const int64_t first_in = unit / panels * width, first = first_in + unit % panels * panel;
    const int64_t columns = std::min(panel, first_in + width - first);
    float* decoded = scratch(slot, panel * width * (c.kernel + 2));
    float* tap_rows = decoded + panel * width * c.kernel;
    float* tile = tap_rows + panel * width;
    for (int64_t n = 0; n < columns; ++n)
      w.decode(first + n, 0, width * c.kernel, decoded + n * width * c.kernel);
    for (int64_t t = 0; t < y.rows(); ++t) std::copy_n(bias + first, columns, y.row(t) + first);
    for (int64_t tap = 0; tap < c.kernel; ++tap) {
      for (int64_t i = 0; i < columns * width; ++i) tap_rows[i] = decoded[i * c.kernel + tap];
      kernels_.pack(tap_rows, width, columns, width, tile);
      const int64_t shift = tap - c.kernel / 2;
      for (int64_t text = 0; text < batch.texts(); ++text) {
        const int64_t row = batch.offsets[static_cast<size_t>(text)];
        const int64_t from = std::max<int64_t>(0, -shift),
                      to = batch.length(text) - std::max<int64_t>(0, shift);
        if (from >= to) continue;
        float* out = y.row(row + from) + first;
        kernels_.matmul(x.row(row + from + shift) + first_in, x.stride(), to - from, tile, panel, width, out,
                        y.stride(), out, y.stride(), columns);
      }
    }
  });
  return y;
}

}  // namespace mlxe::cpu
