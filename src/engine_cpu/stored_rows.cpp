#include "engine_cpu/stored_rows.h"

#include <cstring>

#include "kernels/quantize_table.h"
#include "quant/group_scales.h"

namespace mlxe::cpu {
namespace {

const std::byte* row_of(std::span<const std::byte> piece, int64_t rows, int64_t row) {
  return piece.data() + piece.size() / static_cast<size_t>(rows) * static_cast<size_t>(row);
}

}  // namespace

const uint8_t* code_row(const StoredWeight& weight, int64_t row) noexcept {
  return reinterpret_cast<const uint8_t*>(row_of(weight.codes, weight.shape[0], row));
}

void read_floats(const std::byte* from, Dtype dtype, int64_t n, float* to) noexcept {
  const QuantizeKernels& kernels = quantize_kernels();
  const auto count = static_cast<size_t>(n);
  switch (dtype) {
    case Dtype::f64:
      return kernels.f64_to_f32(from, count, to);
    case Dtype::f16:
      return kernels.f16_to_f32(from, count, to);
    case Dtype::bf16:
      return kernels.bf16_to_f32(from, count, to);
    default:
      std::memcpy(to, from, count * sizeof(float));
  }
}

void read_scales(const StoredWeight& w, int64_t row, int64_t first, int64_t count, float* scales,
                 float* biases) noexcept {
  const std::byte* from = row_of(w.scales, w.shape[0], row);
  if (w.scheme.mode == Mode::int8) {
    std::memcpy(scales, from, sizeof *scales);
    *biases = static_cast<float>(static_cast<int8_t>(w.biases[static_cast<size_t>(row)]));
  } else if (w.scheme.mode == Mode::affine) {
    const size_t at = static_cast<size_t>(first) * size_of(w.scheme.dtype);
    read_floats(from + at, w.scheme.dtype, count, scales);
    read_floats(row_of(w.biases, w.shape[0], row) + at, w.scheme.dtype, count, biases);
  } else {
    for (int64_t g = 0; g < count; ++g) {
      const auto code = static_cast<uint8_t>(from[first + g]);
      scales[g] = w.scheme.mode == Mode::nvfp4 ? e4m3_value(code) : e8m0_value(code);
    }
  }
}

}  // namespace mlxe::cpu
