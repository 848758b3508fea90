// The row kernels and the table of table.h, over a wrapper `V` (see vector_math.h).
//
// The last, incomplete vector of a row is loaded and stored in part. A sum over a row is kept in kSums
// vectors, which are added to one vector, whose halves are added repeatedly. This order depends only on the
// row's length.
#pragma once

#include "kernels/generic/matmul_body.h"
#include "kernels/table.h"

namespace mlxe {
namespace {

template <class V>
struct KernelsBody {
  using Float = typename V::Float;
  static constexpr int kLanes = V::kLanes;
  static constexpr int kSums = 4;

  // out[i] = op(in[i], ...)
  template <class Op, class... In>
  static void map(int64_t n, float* out, Op op, const In*... in) {
    int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes) V::store(op(V::load(in + i)...), out + i);
    if (i < n) V::store_some(op(V::load_some(in + i, n - i)...), out + i, n - i);
  }

  // Sums value(i, left) over a row. value() returns the values from i on: a whole register, or `left`
  // values and then zeros.
  template <class Value>
  static float sum(int64_t n, Value value) {
    Float sums[kSums] = {V::set(0.0f), V::set(0.0f), V::set(0.0f), V::set(0.0f)};
    int64_t i = 0;
    for (; i + kSums * kLanes <= n; i += kSums * kLanes)
#pragma GCC unroll 4
      for (int s = 0; s < kSums; ++s) sums[s] = V::add(sums[s], value(i + s * kLanes, kLanes));
    for (; i + kLanes <= n; i += kLanes) sums[0] = V::add(sums[0], value(i, kLanes));
    if (i < n) sums[1] = V::add(sums[1], V::first(value(i, n - i), n - i));
    return V::sum(V::add(V::add(sums[0], sums[1]), V::add(sums[2], sums[3])));
  }
  static inline __attribute__((always_inline)) Float load(const float* x, int64_t count) {
    return count == kLanes ? V::load(x) : V::load_some(x, count);
  }
  static inline __attribute__((always_inline)) void store(Float x, float* out, int64_t count) {
    count == kLanes ? V::store(x, out) : V::store_some(x, out, count);
  }

  static void add(const float* a, const float* b, int64_t n, float* out) {
    map(
        n, out, [](Float x, Float y) { return V::add(x, y); }, a, b);
  }

  static void multiply(const float* a, const float* b, int64_t n, float* out) {
    map(
        n, out, [](Float x, Float y) { return V::mul(x, y); }, a, b);
  }

  static void add_scaled(const float* x, float factor, int64_t n, float* out) {
    const Float f = V::set(factor);
    map(
        n, out, [f](Float a, Float b) { return V::fma(a, f, b); }, x, static_cast<const float*>(out));
  }

  static void scale(const float* x, float factor, int64_t n, float* out) {
    const Float f = V::set(factor);
    map(
        n, out, [f](Float a) { return V::mul(a, f); }, x);
  }

  static void max_into(const float* x, int64_t n, float* out) {
    map(
        n, out, [](Float a, Float b) { return V::larger_or_nan(a, b); }, x, static_cast<const float*>(out));
  }

  static void norm(const float* a, const float* b, const float* weight, const float* bias, float epsilon,
                   bool centered, int64_t n, float* out) {
    const float* x = b == nullptr ? a : out;
    float total = 0;
    if (b != nullptr)
      total = sum(n, [a, b, out](int64_t i, int64_t count) {
        const Float both = V::add(load(a + i, count), load(b + i, count));
        store(both, out + i, count);
        return both;
      });
    else if (centered)
      total = sum(n, [a](int64_t i, int64_t count) { return load(a + i, count); });
    const Float mean = V::set(centered ? total / static_cast<float>(n) : 0.0f);
    const float squares = sum(n, [mean, x](int64_t i, int64_t count) {
      const Float d = V::sub(load(x + i, count), mean);
      return V::mul(d, d);
    });
    const Float factor = V::div(V::set(1.0f), V::sqrt(V::set(squares / static_cast<float>(n) + epsilon)));
    map(
        n, out,
        [mean, factor](Float v, Float w, Float c) { return V::fma(V::mul(V::sub(v, mean), factor), w, c); },
        x, weight, bias);
  }

  static void softmax(float* x, float factor, int64_t n) {
    Float most = V::set(x[0]);
    int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes) most = V::max(most, V::load(x + i));
    for (; i < n; ++i) most = V::max(most, V::set(x[i]));
    const Float f = V::set(factor), largest = V::set(V::largest(most));
    map(
        n, x, [f, largest](Float a) { return exp<V>(V::mul(V::sub(a, largest), f)); },
        static_cast<const float*>(x));
    scale(x, 1 / sum(n, [x](int64_t at, int64_t count) { return load(x + at, count); }), n, x);
  }

  static void normalize(const float* x, int64_t n, float* out) {
    const Float squares = V::set(sum(n, [x](int64_t i, int64_t count) {
      const Float v = load(x + i, count);
      return V::mul(v, v);
    }));
    const Float length = V::max(V::set(1e-12f), V::sqrt(squares));
    map(
        n, out, [length](Float a) { return V::div(a, length); }, x);
  }

  template <Float (*op)(Float)>
  static void activate(float* x, ptrdiff_t ld, int64_t rows, int64_t n) {
    for (int64_t m = 0; m < rows; ++m, x += ld) map(n, x, op, static_cast<const float*>(x));
  }

  static constexpr int kChains = V::kRows * V::kVectors;
  static float spin(int64_t rounds) {
    const Float half = V::set(0.5f), one = V::set(1.0f);
    Float sums[kChains];
#pragma GCC unroll 32
    for (int i = 0; i < kChains; ++i) sums[i] = V::set(static_cast<float>(i));
    for (int64_t r = 0; r < rounds; ++r)
#pragma GCC unroll 32
      for (int i = 0; i < kChains; ++i) sums[i] = V::fma(sums[i], half, one);
    Float total = sums[0];
#pragma GCC unroll 32
    for (int i = 1; i < kChains; ++i) total = V::add(total, sums[i]);
    return V::sum(total);
  }

  static constexpr Kernels table() {
    return {
        .panel = Matmul<V>::kPanel,
        .matmul = Matmul<V>::matmul,
        .pack = Matmul<V>::pack,
        .add = add,
        .multiply = multiply,
        .add_scaled = add_scaled,
        .scale = scale,
        .max_into = max_into,
        .norm = norm,
        .softmax = softmax,
        .normalize = normalize,
        .relu = activate<mlxe::relu<V>>,
        .gelu_erf = activate<mlxe::gelu_erf<V>>,
        .gelu_tanh = activate<mlxe::gelu_tanh<V>>,
        .gelu_quick = activate<mlxe::gelu_quick<V>>,
        .silu = activate<mlxe::silu<V>>,
        .tanh = activate<mlxe::tanh<V>>,
        .sigmoid = activate<mlxe::sigmoid<V>>,
        .spin = spin,
        .flops_per_round = 2 * kChains * kLanes,
    };
  }
};

}  // namespace
}  // namespace mlxe
