#include "gates/limits.h"

#include <cmath>

namespace mlxe {
namespace {

constexpr double kFloatBits = 16;
constexpr double kFloatLimit = 0.999;

}  // namespace

double cosine_limit(double bits) {
  if (bits > 8) return kFloatLimit;
  return 1 - 0.005 * std::exp2((8 - bits) / 2);
}

double relative_error_limit(double cosine_limit) {
  return 1 - cosine_limit;
}

double neighbours_limit(double relative_error) {
  return 1 - 0.9 * std::sqrt(relative_error);
}

void ExpectedCosine::add(const StoredWeight& matrix) {
  if (matrix.shape.size() < 2 || matrix.scheme.mode == Mode::none) return;
  const double values = static_cast<double>(element_count(matrix.shape));
  quantized_ += values;
  bits_ += values * matrix.scheme.bits;
  loss_ += values * (1 - cosine_limit(matrix.scheme.bits));
}

double ExpectedCosine::limit() const {
  return quantized_ == 0 ? kFloatLimit : 1 - loss_ / quantized_;
}
double ExpectedCosine::bits() const {
  return quantized_ == 0 ? kFloatBits : bits_ / quantized_;
}

GateLimits with_defaults(GateLimits limits, double cosine) {
  if (!limits.cosine) limits.cosine = cosine;
  if (!limits.relative_error) limits.relative_error = relative_error_limit(*limits.cosine);
  if (!limits.neighbours_kept) limits.neighbours_kept = neighbours_limit(*limits.relative_error);
  return limits;
}

}  // namespace mlxe
