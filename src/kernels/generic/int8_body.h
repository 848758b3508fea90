// The quantization of int8_table.h over a wrapper `V` (see vector_math.h), and its matrix kernel for
// instruction sets that multiply only 16-bit integers, over a wrapper `W`:
//   kColumns               columns of a register of results
//   kRows                  rows of a tile
//   Int, zero()
//   widen(p)               kColumns / 2 columns of four 8-bit codes each, as 16-bit integers
//   quad(p)                four 16-bit activations, repeated
//   multiply_add(a, w, x)  a + the sums of two neighbouring products
//   sums(low, high)        the kColumns sums of four products as floats, in order
//   first(p), second(p)    the first or second bfloat16 of each of kColumns pairs, as floats
#pragma once

#include "kernels/generic/to_bf16.h"
#include "kernels/generic/vector_math.h"
#include "kernels/int8_table.h"

namespace mlxe {
namespace {

// Sets scale, accumulator start value and bias term of group g, from the group's largest magnitude and the
// sum of its codes.
inline __attribute__((always_inline)) void describe_group(const Int8Groups& groups, int64_t g, float largest,
                                                          int32_t sum) {
  const float scale = largest < 1e-30f ? 0 : largest / 127;
  groups.scales[g] = scale;
  groups.accumulator_start[g] = -kInt8ZeroPoint * sum;
  groups.bias_terms[g] = sum == 0 ? 0 : float_to_bf16(scale * static_cast<float>(sum));
}

template <class V>
struct Int8Quantize {
  using Float = typename V::Float;
  static constexpr int kLanes = V::kLanes;

  static void quantize_row(const float* x, int64_t n, int group, int8_t* codes, const Int8Groups& groups) {
    const int64_t padded = (n + kInt8Alignment - 1) / kInt8Alignment * kInt8Alignment;
    const auto load = [x, n](int64_t i) {
      return i + kLanes <= n ? V::load(x + i) : i < n ? V::load_some(x + i, n - i) : V::set(0.0f);
    };
    for (int64_t first = 0, g = 0; first < padded; first += group, ++g) {
      Float most = V::abs(load(first));
      for (int64_t i = first + kLanes; i < first + group; i += kLanes)
        most = V::larger_or_nan(V::abs(load(i)), most);
      const float largest = V::largest_or_nan(most);
      const float inverse = largest > 1e-30f && largest < __builtin_inff() ? 127 / largest : 0;
      Float sum = V::set(0.0f);
      if (inverse > 0) {
        const Float factor = V::set(inverse);
        for (int64_t i = first; i < first + group; i += kLanes) {
          const Float code = V::rint(V::mul(load(i), factor));
          sum = V::add(sum, code);
          V::store_codes(code, codes + i);
        }
      } else {
        for (int64_t i = first; i < first + group; ++i) codes[i] = 0;
      }
      describe_group(groups, g, largest, static_cast<int32_t>(V::sum(sum)));
    }
  }

  static void quantize(const float* x, ptrdiff_t ld_x, int64_t rows, int64_t n, int group, int8_t* codes,
                       ptrdiff_t ld_codes, const Int8Groups& groups, ptrdiff_t ld_groups) {
    for (int64_t m = 0; m < rows; ++m)
      quantize_row(x + m * ld_x, n, group, codes + m * ld_codes, groups.further(m * ld_groups));
  }
};

template <class W, class V>
struct Int8Madd {
  using Int = typename W::Int;
  using Float = typename V::Float;
  static constexpr int kColumns = W::kColumns;
  static constexpr int kTiles = kInt8Panel / kColumns;

  // One tile: `rows` rows x columns [first, first + kColumns) of the panel.
  template <int rows>
  static void tile(const Int8Rows& x, const Int8Weights& w, int64_t groups, int group, int first,
                   float* out) {
    Float total[rows];
#pragma GCC unroll 8
    for (int m = 0; m < rows; ++m) total[m] = V::set(0.0f);
    for (int64_t g = 0; g < groups; g += 2) {
      const uint16_t* biases = w.biases + g * kInt8Panel + 2 * first;
      const Float even = W::first(biases), odd = W::second(biases);
#pragma GCC unroll 8
      for (int m = 0; m < rows; ++m) {
        const uint16_t* terms = x.bias_terms + m * 2 * x.ld_groups + g;
        if (g + 1 < groups) total[m] = V::fma(odd, V::set(bf16_to_float(terms[1])), total[m]);
        total[m] = V::fma(even, V::set(bf16_to_float(terms[0])), total[m]);
      }
    }
    const uint8_t* codes = w.codes + first * 4;
    for (int64_t g = 0; g < groups; ++g) {
      int16_t wide[rows][64];
      for (int m = 0; m < rows; ++m)
        for (int k = 0; k < group; k += 16) W::widen_codes(x.codes + m * x.ld + g * group + k, wide[m] + k);
      Int low[rows], high[rows];
#pragma GCC unroll 8
      for (int m = 0; m < rows; ++m) low[m] = high[m] = W::zero();
      for (int k = 0; k < group; k += 4, codes += 4 * kInt8Panel) {
        const Int w_low = W::widen(codes), w_high = W::widen(codes + 2 * kColumns);
#pragma GCC unroll 8
        for (int m = 0; m < rows; ++m) {
          const Int quad = W::quad(wide[m] + k);
          low[m] = W::multiply_add(low[m], w_low, quad);
          high[m] = W::multiply_add(high[m], w_high, quad);
        }
      }
      const Float scales = V::load(w.scales + g * kInt8Panel + first);
#pragma GCC unroll 8
      for (int m = 0; m < rows; ++m) {
        const int64_t at = m * x.ld_groups + g;
        const Float sum =
            V::add(W::sums(low[m], high[m]), V::set(static_cast<float>(x.accumulator_start[at])));
        total[m] = V::fma(V::mul(sum, V::set(x.scales[at])), scales, total[m]);
      }
    }
#pragma GCC unroll 8
    for (int m = 0; m < rows; ++m) V::store(total[m], out + m * kInt8Panel + first);
  }

  template <int rows>
  static void tiles(int64_t count, const Int8Rows& x, const Int8Weights& w, int64_t groups, int group,
                    float* out) {
    if constexpr (rows > 0) {
      if (count < rows) return tiles<rows - 1>(count, x, w, groups, group, out);
      for (int t = 0; t < kTiles; ++t) tile<rows>(x, w, groups, group, t * kColumns, out);
    }
  }

  static void matmul(const Int8Rows& x, int64_t rows, const Int8Weights& w, int64_t groups, int group,
                     const float* from, ptrdiff_t ld_from, float* y, ptrdiff_t ld_y, int64_t columns,
                     const ReadAhead&) {
    for (int64_t m = 0; m < rows; m += W::kRows) {
      const int64_t count = rows - m < W::kRows ? rows - m : W::kRows;
      float out[W::kRows * kInt8Panel];
      tiles<W::kRows>(count, x.at(m, 0, group), w, groups, group, out);
      for (int64_t i = 0; i < count; ++i)
        for (int64_t n = 0; n < columns; ++n)
          y[(m + i) * ld_y + n] = from[(m + i) * ld_from + n] + out[i * kInt8Panel + n];
    }
  }

  static constexpr int kChains = 8;
  static constexpr int64_t kOperationsPerRound = kChains * kColumns * 4;
  static float spin(int64_t rounds) {
    Int sums[kChains], w = W::zero();
#pragma GCC unroll 8
    for (int i = 0; i < kChains; ++i) sums[i] = W::zero();
    for (int64_t r = 0; r < rounds; ++r)
#pragma GCC unroll 8
      for (int i = 0; i < kChains; ++i) {
        asm("" : "+v"(w));  // keeps the compiler from moving the constant product out of the loop
        sums[i] = W::multiply_add(sums[i], w, w);
      }
    Float total = V::set(0.0f);
#pragma GCC unroll 8
    for (int i = 0; i < kChains; ++i) total = V::add(total, W::sums(sums[i], sums[i]));
    return V::sum(total);
  }
};

}  // namespace
}  // namespace mlxe
