// Computes scale and bias (or zero point) from the range of a group or row. Float32 arithmetic as in
// mlx.core.quantize on the CPU; docs/format.md explains the formulas.
#pragma once

#include <cstdint>

#include "mlx_encoder/types.h"

namespace mlxe {

// w ~ scale * q + bias, q in [0, 2^bits - 1]. The edge of larger magnitude has code 0 without error;
// `scale` is negative if that edge is the maximum. Codes are computed with these float32 values; a file
// holds them cast to its dtype.
struct AffineGroup {
  float scale, bias;
};
AffineGroup affine_group(float low, float high, int bits) noexcept;

// mxfp4 and mxfp8: the smallest power of two that is at least largest / code_max. `largest`: the group's
// largest magnitude. code_max: 6 or 448. The quotient is rounded to `dtype`, the dtype of the values.
// Returns exponent + 127; 127 for a group of zeros.
uint8_t e8m0_scale(float largest, float code_max, Dtype dtype) noexcept;
float e8m0_value(uint8_t scale) noexcept;  // 2^(scale - 127); 255 is infinite

// nvfp4: largest / 6 as an 8-bit float (sign, 4 exponent, 3 mantissa bits), at most 448; 0 below 2^-10.
uint8_t e4m3_scale(float largest, Dtype dtype) noexcept;
// The value of any byte, as MLX reads it: 128 to 255 are negative, 0x7f and 0xff NaN.
float e4m3_value(uint8_t scale) noexcept;

// int8: w ~ (q - zero_point) * scale, q in [-128, 127]; zero is exact. [low, high] is first widened to
// contain 0:
//   scale = float32((high - low) / 255), the quotient in float64; 1 where that is 0
//   zero_point = clamp(rint(-128 - low / scale), -128, 127), in float32
struct Int8Grid {
  float scale, zero_point;
};
Int8Grid int8_grid(float low, float high) noexcept;

}  // namespace mlxe
