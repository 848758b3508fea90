// The kernels of bf16_table.h over a wrapper `V` (see vector_math.h), which also has:
//   kBf16Rows                rows of a tile of 2 registers of columns
//   Codes                    kLanes x 4 codes
//   load_codes(p)            loads one code a byte
//   load_int4_codes(p, high, table)   loads the low or the high nibbles of bytes
//   code<i>(c)               128 + (code i of each four) / 2, as floats
//   store_pairs(a, b, p)     stores each lane's a and b, rounded to bfloat16, side by side
//   store_bf16(x, p)         stores the nearest bfloat16; NaN stays NaN
//   low(p), high(p)          the first and the second bfloat16 of each of kLanes pairs, as floats
//   low_all(p), high_all(p)  the same of one pair, in every lane
#pragma once

#include "kernels/bf16_table.h"
#include "kernels/generic/vector_math.h"

namespace mlxe {
namespace {

template <class V>
struct Bf16Decode {
  static constexpr int kLanes = V::kLanes;

  // Decodes one group, kLanes columns n from `first` on. A code q becomes the float 128 + q / 2 with only a
  // shift and a mask. Then scale * q + bias = (2 scale) * (128 + q / 2) + (bias - 256 scale).
  template <bool half>
  static inline __attribute__((always_inline)) void part(const CodedWeights& in, const uint8_t* table,
                                                         int64_t k, int group, int first, uint16_t* w) {
    const auto scale = V::load(in.scales + first);
    const auto s = V::add(scale, scale);
    const auto b = V::fma(scale, V::set(-256.0f), V::load(in.biases + first));
    const uint8_t* codes = in.codes + (half ? k * 16 + first % 16 * 4 : k * kInt8Panel + first * 4);
    for (int i = 0; i < group; i += 4, k += 4, codes += half ? 64 : 4 * kInt8Panel) {
      const auto x = half ? V::load_int4_codes(codes, first >= 16, table) : V::load_codes(codes);
      // Codes are read from memory in order: prefetch the cache line needed some panels later.
      __builtin_prefetch(codes + kAhead);
      uint16_t* out = w + bf16_index(k, first);
      V::store_pairs(V::fma(V::template code<0>(x), s, b), V::fma(V::template code<1>(x), s, b), out);
      V::store_pairs(V::fma(V::template code<2>(x), s, b), V::fma(V::template code<3>(x), s, b), out + 32);
    }
  }

  static void decode(const CodedWeights& codes, const uint8_t* table, int64_t groups, int group,
                     uint16_t* w) {
    CodedWeights in = codes;
    for (int64_t g = 0; g < groups; ++g, in.scales += kInt8Panel, in.biases += kInt8Panel)
      for (int first = 0; first < kBf16Panel; first += kLanes)
        if (table == nullptr)
          part<false>(in, table, g * group, group, first, w);
        else
          part<true>(in, table, g * group, group, first, w);
  }

 private:
  static constexpr int64_t kAhead = 2048;
};

template <class V>
void round_to_bf16(const float* x, int64_t n, uint16_t* out) {
  int64_t i = 0;
  for (; i + V::kLanes <= n; i += V::kLanes) V::store_bf16(V::load(x + i), out + i);
  if (i < n) V::store_bf16(V::load_some(x + i, n - i), out + i), i += V::kLanes;
  for (; i % kBf16Aligned != 0; i += V::kLanes) V::store_bf16(V::set(0.0f), out + i);
}

// For instruction sets without bfloat16 products: a product of two bfloat16 is exact in float32.
template <class V>
struct Bf16Fma {
  static constexpr int kLanes = V::kLanes, kRows = V::kBf16Rows;
  using Float = typename V::Float;

  // One tile: `rows` rows x 2 registers of columns, from column `first` on.
  template <int rows>
  static void tile(const uint16_t* x, ptrdiff_t ld_x, const uint16_t* w, int64_t depth, int64_t first,
                   const float* from, ptrdiff_t ld_from, float* y, ptrdiff_t ld_y, int64_t columns) {
    Float sums[rows][2];
    const auto count = [&](int v) { return columns - v * kLanes; };
#pragma GCC unroll 8
    for (int m = 0; m < rows; ++m)
#pragma GCC unroll 2
      for (int v = 0; v < 2; ++v)
        sums[m][v] = count(v) >= kLanes ? V::load(from + m * ld_from + v * kLanes)
                     : count(v) > 0     ? V::load_some(from + m * ld_from + v * kLanes, count(v))
                                        : V::set(0.0f);
    for (int64_t k = 0; k < depth; k += 2) {
      const uint16_t *left = w + bf16_index(k, first), *right = w + bf16_index(k, first + kLanes);
      const Float low[2] = {V::low(left), V::low(right)}, high[2] = {V::high(left), V::high(right)};
#pragma GCC unroll 8
      for (int m = 0; m < rows; ++m) {
        const Float a = V::low_all(x + m * ld_x + k), b = V::high_all(x + m * ld_x + k);
#pragma GCC unroll 2
        for (int v = 0; v < 2; ++v) sums[m][v] = V::fma(b, high[v], V::fma(a, low[v], sums[m][v]));
      }
    }
#pragma GCC unroll 8
    for (int m = 0; m < rows; ++m)
#pragma GCC unroll 2
      for (int v = 0; v < 2; ++v)
        if (count(v) >= kLanes)
          V::store(sums[m][v], y + m * ld_y + v * kLanes);
        else if (count(v) > 0)
          V::store_some(sums[m][v], y + m * ld_y + v * kLanes, count(v));
  }

  template <int rows>
  static void tiles(int64_t count, const uint16_t* x, ptrdiff_t ld_x, const uint16_t* w, int64_t depth,
                    int64_t first, const float* from, ptrdiff_t ld_from, float* y, ptrdiff_t ld_y,
                    int64_t columns) {
    if constexpr (rows > 0) {
      if (count < rows)
        return tiles<rows - 1>(count, x, ld_x, w, depth, first, from, ld_from, y, ld_y, columns);
      tile<rows>(x, ld_x, w, depth, first, from, ld_from, y, ld_y, columns);
    }
  }

  static void matmul(const uint16_t* x, ptrdiff_t ld_x, int64_t rows, const uint16_t* w, int64_t depth,
                     const float* from, ptrdiff_t ld_from, float* y, ptrdiff_t ld_y, int64_t columns) {
    for (int64_t m = 0; m < rows; m += kRows)
      for (int64_t n = 0; n < columns; n += 2 * kLanes)
        tiles<kRows>(rows - m < kRows ? rows - m : kRows, x + m * ld_x, ld_x,
                     w + n / kBf16Panel * kBf16Panel * depth, depth, n % kBf16Panel, from + m * ld_from + n,
                     ld_from, y + m * ld_y + n, ld_y, columns - n);
  }
};

}  // namespace
}  // namespace mlxe
