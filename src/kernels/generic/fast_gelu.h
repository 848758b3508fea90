// GELU, x Phi(x), for values that are rounded next, over a wrapper `V` (see vector_math.h). Half the work of
// gelu_erf, and no division.
#pragma once

#include "kernels/generic/vector_math.h"

namespace mlxe {
namespace {

// |x| <= 5.2: x / 2 + x^2 R(t) with t = x^2 / 13.52 - 1. R is minimax (x^2 R within 1.4e-7); with the
// roundings of
//             float32 the absolute error is below 6e-7.
// |x| > 5.2:  max(x, 0), because 5.2 Phi(-5.2) = 5.2e-7.
template <class V>
typename V::Float fast_gelu_erf(typename V::Float x) {
  constexpr float r[] = {1.359499842e-01f, -6.774362177e-02f, 5.002561584e-02f, -3.993198648e-02f,
                         3.197391704e-02f, -2.469884045e-02f, 1.803877763e-02f, -1.261966117e-02f,
                         8.365083486e-03f, -4.542309791e-03f, 2.005193150e-03f, -1.468777540e-03f,
                         1.188680762e-03f, -3.882334568e-04f};
  const auto limit = V::set(5.2f * 5.2f), square = V::mul(x, x);
  const auto t = V::fma(square, V::set(2 / (5.2f * 5.2f)), V::set(-1.0f));
  const auto near = V::fma(square, polynomial<V>(t, r), V::mul(x, V::set(0.5f)));
  return V::select_above(square, limit, V::max(V::set(0.0f), x), near);
}

}  // namespace
}  // namespace mlxe
