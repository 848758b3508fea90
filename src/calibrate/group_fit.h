// Chooses the scale and bias of one group of weights so that a weighted error is smallest.
#pragma once

#include <cstdint>
#include <span>

#include "mlx_encoder/types.h"
#include "quant/group_scales.h"

namespace mlxe::calibrate {

struct Grid {
  int bits = 4;
  Dtype dtype = Dtype::f16;  // of scale and bias in the file

  float last_code() const noexcept { return static_cast<float>((1 << bits) - 1); }
};

// `value` rounded to the dtype of the file.
float stored(float value, Dtype dtype) noexcept;

// The code nearest to `value`, as a float.
inline float nearest_code(float value, const AffineGroup& group, float last_code) noexcept {
  const float code = (value - group.bias) / group.scale;
  const float clamped = code < 0 ? 0 : code > last_code ? last_code : code;
  constexpr float kWhole = 12582912.0f;  // 1.5 * 2^23: adding it rounds to a whole number, ties to even
  return (clamped + kWhole) - kWhole;
}

// The scale and bias of round-to-nearest (quant/group_scales.h), as stored.
AffineGroup rtn_group(std::span<const float> values, const Grid& grid) noexcept;

// Searches the scale and bias with the smallest sum of importance * (value - decoded)^2. Clips the range step by
// step; then refits the best scale and bias to their codes by least squares. Never worse than rtn_group().
// `importance` is not negative; if all are 0, all count as 1.
AffineGroup fit_group(std::span<const float> values, std::span<const float> importance,
                      const Grid& grid) noexcept;

}  // namespace mlxe::calibrate
