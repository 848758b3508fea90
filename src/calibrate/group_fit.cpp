#include "calibrate/group_fit.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/half.h"

namespace mlxe::calibrate {
namespace {

constexpr int kClips = 20;           // ranges tried, each kClipStep narrower than the one before
constexpr float kClipStep = 0.025f;  // of the whole range
constexpr int kRefits = 4;
constexpr size_t kLargestGroup = 128;

float squared_error(std::span<const float> values, std::span<const float> importance,
                    const AffineGroup& group, float last_code) noexcept {
  float sum = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    const float e = values[i] - (nearest_code(values[i], group, last_code) * group.scale + group.bias);
    sum += importance[i] * e * e;
  }
  return sum;
}

// Weighted linear regression of value on code.
AffineGroup refit(std::span<const float> values, std::span<const float> importance, const AffineGroup& group,
                  float last_code) noexcept {
  double w = 0, wc = 0, wv = 0, wcc = 0, wcv = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    const double h = static_cast<double>(importance[i]), v = static_cast<double>(values[i]);
    const double c = static_cast<double>(nearest_code(values[i], group, last_code));
    w += h, wc += h * c, wv += h * v, wcc += h * c * c, wcv += h * c * v;
  }
  const double determinant = w * wcc - wc * wc;
  if (!(determinant > 1e-9 * w * wcc)) return group;
  const double scale = (w * wcv - wc * wv) / determinant;
  return {static_cast<float>(scale), static_cast<float>((wv - scale * wc) / w)};
}

AffineGroup as_stored(AffineGroup group, Dtype dtype) noexcept {
  const AffineGroup rounded{stored(group.scale, dtype), stored(group.bias, dtype)};
  // The scale underflows in the dtype. Any other scale keeps the decoded values at the bias.
  return {rounded.scale == 0 ? stored(std::copysign(6e-5f, group.scale), dtype) : rounded.scale,
          rounded.bias};
}

}  // namespace

float stored(float value, Dtype dtype) noexcept {
  if (dtype == Dtype::f16) return f16_to_float(float_to_f16(value));
  if (dtype == Dtype::bf16) return bf16_to_float(float_to_bf16(value));
  return value;
}

AffineGroup rtn_group(std::span<const float> values, const Grid& grid) noexcept {
  const auto [low, high] = std::ranges::minmax(values);
  return as_stored(affine_group(low, high, grid.bits), grid.dtype);
}

AffineGroup fit_group(std::span<const float> values, std::span<const float> importance,
                      const Grid& grid) noexcept {
  std::array<float, kLargestGroup> ones;
  ones.fill(1);
  if (std::ranges::all_of(importance, [](float h) { return !(h > 0); }))
    importance = std::span(ones).first(values.size());
  const float last = grid.last_code();
  AffineGroup best = rtn_group(values, grid);
  float best_error = squared_error(values, importance, best, last);
  const auto consider = [&](AffineGroup group) {
    group = as_stored(group, grid.dtype);
    const float error = squared_error(values, importance, group, last);
    if (!(error < best_error)) return false;
    best = group;
    best_error = error;
    return true;
  };
  const auto [low, high] = std::ranges::minmax(values);
  for (int i = 0; i < kClips; ++i) {
    const float keep = 1 - static_cast<float>(i) * kClipStep;
    const float scale = (high - low) * keep / last, middle = (high + low) / 2;
    consider({scale, middle - (high - low) * keep / 2});
  }
  for (int i = 0; i < kRefits && consider(refit(values, importance, best, last)); ++i) {
  }
  return best;
}

}  // namespace mlxe::calibrate
