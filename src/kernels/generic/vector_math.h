// exp and the non-linearities, over a wrapper `V` of one instruction set's registers.
//
// V has kLanes floats and these operations, among others:
//   min(a, b), max(a, b)  b if either is NaN, as on x86: a clamp written max(limit, x) keeps NaN
//   fma(a, b, c)          a b + c, with one rounding if the instruction set has it
//   fnma(a, b, c)         c - a b, likewise
// Everything has internal linkage: the linker must never use a copy compiled for AVX-512 on an older
// processor.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mlxe {
namespace {

// coefficients[0] + coefficients[1] x + ...
template <class V, int n>
typename V::Float polynomial(typename V::Float x, const float (&coefficients)[n]) {
  auto sum = V::set(coefficients[n - 1]);
#pragma GCC unroll 16
  for (int i = n - 2; i >= 0; --i) sum = V::fma(sum, x, V::set(coefficients[i]));
  return sum;
}

// e^x for x in [-87.3, 88.3]; outside, the value at the nearer end. Relative error below 2^-22.5.
//   x = n ln 2 + r, |r| <= ln 2 / 2; e^r = 1 + r + r^2 q(r), q minimax of degree 4 (3.2e-9)
template <class V>
typename V::Float exp(typename V::Float x) {
  constexpr float q[] = {0.500000009519f, 0.166665188397f, 0.0416662057914f, 0.00836888935243f,
                         0.00139504918285f};
  x = V::min(V::set(88.3f), V::max(V::set(-87.3f), x));
  const auto n = V::rint(V::mul(x, V::set(1.44269504f)));
  // ln 2 is split into two parts. The first has ten bits, so that n times it is exact.
  const auto r = V::fnma(n, V::set(-2.12194440e-4f), V::fnma(n, V::set(0.693359375f), x));
  const auto e = V::fma(V::mul(r, r), polynomial<V>(r, q), r);
  return V::times_power_of_two(V::add(e, V::set(1.0f)), n);
}

template <class V>
typename V::Float sigmoid(typename V::Float x) {
  const auto one = V::set(1.0f);
  return V::div(one, V::add(one, exp<V>(V::negate(x))));
}

// x Phi(x) = max(x, 0) - t Phi(-t), t = |x|. The subtrahend is small where digits would cancel.
//   Phi(-t) = exp(-t^2 / 2) R(v), v = (1 - 0.26 t) / (1 + 0.26 t), R minimax of degree 9 for t in [0, 13]
//   (5.4e-9 relative). t^2 is computed in two parts, because exp makes an absolute error relative.
template <class V>
typename V::Float gelu_erf(typename V::Float x) {
  constexpr float r[] = {9.780013856e-02f,  1.752915635e-01f, 1.251331130e-01f,  6.910079863e-02f,
                         2.744195956e-02f,  6.214966191e-03f, -3.091006381e-04f, -6.700321181e-04f,
                         -6.961549324e-05f, 6.621157006e-05f};
  const auto one = V::set(1.0f);
  const auto t = V::min(V::set(13.0f), V::abs(x));  // Phi(-13) is 6e-39
  const auto v = V::sub(V::div(V::set(2.0f), V::fma(t, V::set(0.26f), one)), one);
  const auto square = V::mul(t, t);
  const auto rest = V::negate(V::fnma(t, t, square));  // t^2 - square
  const auto e = exp<V>(V::mul(square, V::set(-0.5f)));
  const auto tail = V::mul(V::fnma(V::mul(rest, V::set(0.5f)), e, e), polynomial<V>(v, r));
  return V::fnma(t, tail, V::max(V::set(0.0f), x));
}

// 0.5 (1 + tanh(u)) = sigmoid(2u), which is precise where tanh is near -1.
template <class V>
typename V::Float gelu_tanh(typename V::Float x) {
  const auto inner = V::fma(V::mul(x, x), V::set(0.044715f), V::set(1.0f));
  return V::mul(x, sigmoid<V>(V::mul(V::mul(x, inner), V::set(1.59576912f))));  // sqrt(8 / pi)
}

template <class V>
typename V::Float gelu_quick(typename V::Float x) {
  return V::mul(x, sigmoid<V>(V::mul(x, V::set(1.702f))));
}

template <class V>
typename V::Float silu(typename V::Float x) {
  return V::mul(x, sigmoid<V>(x));
}

template <class V>
typename V::Float relu(typename V::Float x) {
  return V::max(V::set(0.0f), x);
}

// Near 0 an odd polynomial x + x^3 q(x^2) (minimax of degree 4, 4.2e-9), else 1 - 2 / (e^2|x| + 1).
template <class V>
typename V::Float tanh(typename V::Float x) {
  constexpr float q[] = {-0.333332837096f, 0.133314849744f, -0.0537429368331f, 0.0206486544294f,
                         -0.00571478113931f};
  const auto one = V::set(1.0f);
  const auto t = V::abs(x);
  const auto square = V::mul(x, x);
  const auto near = V::fma(V::mul(square, x), polynomial<V>(square, q), x);
  const auto far = V::sub(one, V::div(V::set(2.0f), V::add(exp<V>(V::add(t, t)), one)));
  return V::select_above(t, V::set(0.625f), V::with_sign_of(far, x), near);
}

}  // namespace
}  // namespace mlxe
