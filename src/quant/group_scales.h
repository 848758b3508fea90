// From the range of a group (or row) to the numbers its codes refer to. Plain arithmetic in float32 as
// mlx.core.quantize does it on the CPU; docs/format.md derives the formulas.
#pragma once

#include <cstdint>

#include "mlx_encoder/types.h"

namespace mlxe {

// w ~ scale * q + bias, q in [0, 2^bits - 1]. The edge of larger magnitude is pinned to a code exactly, so
// `scale` is negative when that edge is the maximum. The codes are computed with these, unrounded; a file
// holds them cast.
struct AffineGroup {
  float scale, bias;
};
AffineGroup affine_group(float low, float high, int bits) noexcept;

// mxfp4 and mxfp8: the smallest power of two not below largest / code_max, where `largest` is the group's
// largest magnitude, code_max is 6 or 448, and the quotient is rounded to `dtype`, the dtype of the values.
uint8_t e8m0_scale(float largest, float code_max,
                   Dtype dtype) noexcept;  // exponent + 127; 127 for a zero group
float e8m0_value(uint8_t scale) noexcept;  // 2^(scale - 127); 255 is infinite

// nvfp4: largest / 6 as an 8-bit float (sign, 4 exponent, 3 mantissa bits), at most 448; 0 below 2^-10.
uint8_t e4m3_scale(float largest, Dtype dtype) noexcept;
float e4m3_value(
    uint8_t scale) noexcept;  // of any byte, as MLX reads it: 128..255 negative, 0x7f and 0xff NaN

// int8: w ~ (q - zero_point) * scale, q in [-128, 127]; zero is exact. [low, high] is first widened to
// contain 0.
//   scale = float32((high - low) / 255), the quotient in float64; 1 where that is 0
//   zero_point = clamp(rint(-128 - low / scale), -128, 127), in float32
struct Int8Grid {
  float scale, zero_point;
};
Int8Grid int8_grid(float low, float high) noexcept;

}  // namespace mlxe
