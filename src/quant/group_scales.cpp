#include "quant/group_scales.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "base/half.h"
#include "kernels/quantize_table.h"

namespace mlxe {
namespace {

float rounded_to(Dtype dtype, float value) noexcept {
  if (dtype == Dtype::f16) return f16_to_float(float_to_f16(value));
  if (dtype == Dtype::bf16) return bf16_to_float(float_to_bf16(value));
  return value;
}

}  // namespace

AffineGroup affine_group(float low, float high, int bits) noexcept {
  constexpr float kSmallest = 1e-7f;
  const float steps = static_cast<float>((1 << bits) - 1);
  const bool low_is_larger = std::abs(low) > std::abs(high);
  const float edge = low_is_larger ? low : high;
  const float step = std::max((high - low) / steps, kSmallest);
  const float scale = low_is_larger ? step : -step;
  const float code = std::rint(edge / scale);
  if (code == 0) return {scale, 0};
  return {edge / code, edge};
}

uint8_t e8m0_scale(float largest, float code_max, Dtype dtype) noexcept {
  const float scale = rounded_to(dtype, largest / code_max);
  if (scale == 0) return 127;
  // e8m0 has the exponent field of a float. A mantissa other than 0 rounds up to the next power of two.
  // Scales below 2^-127 become 2^-127, which keeps the group near zero. (MLX wraps round to a huge scale
  // there.)
  const uint32_t bits = std::bit_cast<uint32_t>(scale);
  const uint32_t exponent = bits >> 23, mantissa = bits & 0x7fffffu;
  return static_cast<uint8_t>(exponent + (mantissa > (exponent == 0 ? 0x400000u : 0u)));
}

float e8m0_value(uint8_t scale) noexcept {
  return std::bit_cast<float>(scale == 0 ? 0x00400000u : static_cast<uint32_t>(scale) << 23);
}

uint8_t e4m3_scale(float largest, Dtype dtype) noexcept {
  float values[16] = {rounded_to(dtype, largest / 6)};
  uint8_t codes[16];
  quantize_kernels().e4m3_encode(values, 16, codes);
  return codes[0];
}

float e4m3_value(uint8_t scale) noexcept {
  const uint32_t exponent = scale >> 3 & 15u, mantissa = scale & 7u;
  const float magnitude = (scale & 0x7fu) == 0x7fu ? std::numeric_limits<float>::quiet_NaN()
                          : exponent == 0          ? static_cast<float>(mantissa) * 0x1p-9f
                                          : std::bit_cast<float>((exponent + 120) << 23 | mantissa << 20);
  return scale & 0x80u ? -magnitude : magnitude;
}

Int8Grid int8_grid(float low, float high) noexcept {
  low = std::min(low, 0.0f);
  high = std::max(high, 0.0f);
  float scale = static_cast<float>((static_cast<double>(high) - static_cast<double>(low)) / 255.0);
  if (scale == 0) scale = 1;
  return {scale, std::clamp(std::rint(-128.0f - low / scale), -128.0f, 127.0f)};
}

}  // namespace mlxe
