#include "engine_cpu/stored_rows.h"

#include <algorithm>
#include <cstring>

#include "kernels/quantize_table.h"
#include "quant/group_scales.h"

namespace mlxe::cpu {
namespace {

constexpr int64_t kPart = 1024;      // columns decoded at a time
constexpr int64_t kMostScales = 64;  // of kPart columns, in groups of at least 16

const std::byte* row_of(std::span<const std::byte> component, int64_t rows, int64_t row) {
  return component.data() + component.size() / static_cast<size_t>(rows) * static_cast<size_t>(row);
}

void decode_part(const StoredWeight& w, int64_t row, int64_t first, int64_t count, float* out) {
  const QuantizeKernels& kernels = quantize_kernels();
  const int64_t group = std::max(w.scheme.group_size, 1), groups = count / group;
  const uint8_t* codes = code_row(w, row) + first * w.scheme.bits / 8;
  const auto n = static_cast<size_t>(count), group_size = static_cast<size_t>(group);
  float scale[kMostScales], bias[kMostScales];
  if (w.scheme.mode == Mode::int8) {
    read_scales(w, row, 0, 1, scale, bias);
    return kernels.int8_decode(reinterpret_cast<const int8_t*>(codes), n, *scale, *bias, out);
  }
  read_scales(w, row, first / group, groups, scale, bias);
  if (w.scheme.mode == Mode::affine)
    return kernels.affine_decode(codes, static_cast<size_t>(groups), group_size, w.scheme.bits, scale, bias,
                                 out);
  const auto decode_codes = w.scheme.mode == Mode::mxfp8 ? kernels.e4m3_decode : kernels.e2m1_decode;
  decode_codes(codes, static_cast<size_t>(groups), group_size, scale, out);
}

}  // namespace

bool is_plain(const Scheme& scheme) noexcept {
  return scheme.mode == Mode::none || scheme.mode == Mode::fake;
}

void decode_row(const StoredWeight& w, int64_t row, int64_t first, int64_t count, float* out) noexcept {
  if (is_plain(w.scheme)) {
    const auto* values = reinterpret_cast<const std::byte*>(code_row(w, row));
    return read_floats(values + first * static_cast<int64_t>(size_of(w.dtype)), w.dtype, count, out);
  }
  for (int64_t done = 0; done < count; done += kPart)
    decode_part(w, row, first + done, std::min(kPart, count - done), out + done);
}

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
