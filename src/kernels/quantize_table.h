// Kernels for quantizing, dequantizing and casting. One table per instruction set.
//
// Every variant returns the same bits as the scalar one for every input. Inputs and outputs need no
// alignment. A "group" is `group_size` consecutive values that share a scale; groups are contiguous. Codes
// of `bits` < 8 are packed as one little-endian bit stream: code k has bits [k * bits, (k + 1) * bits).
#pragma once

#include <cstddef>
#include <cstdint>

namespace mlxe {

struct QuantizeKernels {
  // Casts of n values, round to nearest even; subnormals and infinities are exact, a NaN stays a NaN.
  void (*f64_to_f32)(const void* in, size_t n, void* out);
  void (*f16_to_f32)(const void* in, size_t n, void* out);
  void (*bf16_to_f32)(const void* in, size_t n, void* out);
  void (*f32_to_f16)(const void* in, size_t n, void* out);
  void (*f32_to_bf16)(const void* in, size_t n, void* out);

  // Index of the first NaN or infinity; n if there is none.
  size_t (*find_not_finite)(const float* in, size_t n);

  // The kernels below expect finite input.

  // Smallest and largest value of each group. For a tie of -0 and +0, either is possible. Any group_size > 0.
  void (*min_max)(const float* in, size_t groups, size_t group_size, float* low, float* high);
  // out = in / divisors[group]. group_size: a multiple of 16.
  void (*divide)(const float* in, size_t groups, size_t group_size, const float* divisors, float* out);

  // code = clamp(rint((in - bias) / scale), 0, 2^bits - 1), packed. bits 1..8, group_size a multiple of 16.
  void (*affine_encode)(const float* in, size_t groups, size_t group_size, int bits, const float* scales,
                        const float* biases, uint8_t* codes);
  // code = clamp(rint(in / scale) + zero_point, -128, 127). zero_point is a whole number.
  void (*int8_encode)(const float* in, size_t n, float scale, float zero_point, int8_t* codes);
  // Nearest of 0, .5, 1, 1.5, 2, 3, 4, 6 and their negatives (code + 8), packed two a byte. A tie takes the
  // smaller magnitude. Values that round to zero get code 0; magnitudes above 6 become 6. n: a multiple of
  // 16.
  void (*e2m1_encode)(const float* in, size_t n, uint8_t* codes);
  // Nearest 8-bit float of 4 exponent (bias 7) and 3 mantissa bits, ties to even; saturates at 448. Keeps
  // the sign, also of zero. n: a multiple of 16.
  void (*e4m3_encode)(const float* in, size_t n, uint8_t* codes);

  // One byte a code from a packed stream. n: a multiple of 16.
  void (*unpack)(const uint8_t* packed, size_t n, int bits, uint8_t* codes);
  // out = code * scale + bias: two roundings. Limits as for affine_encode.
  void (*affine_decode)(const uint8_t* codes, size_t groups, size_t group_size, int bits, const float* scales,
                        const float* biases, float* out);
  // out = (code - zero_point) * scale
  void (*int8_decode)(const int8_t* codes, size_t n, float scale, float zero_point, float* out);
  // out = value of the code * scale; codes 0x7f and 0xff of e4m3 are NaN. group_size: a multiple of 16.
  void (*e2m1_decode)(const uint8_t* codes, size_t groups, size_t group_size, const float* scales,
                      float* out);
  void (*e4m3_decode)(const uint8_t* codes, size_t groups, size_t group_size, const float* scales,
                      float* out);
};

// The kernels of the active variant (base/cpu_features.h). Throws usage if MLXE_CPU names no variant.
const QuantizeKernels& quantize_kernels();
// The kernels of a given variant. The machine must be able to run the variant.
enum class Isa;
const QuantizeKernels& quantize_kernels(Isa isa) noexcept;

extern const QuantizeKernels kQuantizeScalar;
extern const QuantizeKernels kQuantizeAvx2;
extern const QuantizeKernels kQuantizeAvx512;
extern const QuantizeKernels kQuantizeNeon;

}  // namespace mlxe
