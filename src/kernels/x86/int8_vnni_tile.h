// The matrix kernel of int8_table.h with AVX-512 VNNI: vpdpbusd adds four products of unsigned codes and
// signed activations to each of sixteen 32-bit sums. With AVX-512 BF16 the bias terms take half an
// instruction a group. Every instruction that is not an integer product costs a share of the peak.
//
// A tile has up to 6 rows x 32 columns: 12 registers of integer sums, 12 of float sums.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/int8_table.h"

namespace mlxe {
namespace {

constexpr int kTileRows = 6;

// g++ 12 copies accumulators around the intrinsic in unrolled loops; the constraint keeps them in place.
inline __attribute__((always_inline)) void dot(__m512i& sums, __m512i w, __m512i x) {
  asm("vpdpbusd %2, %1, %0" : "+v"(sums) : "v"(w), "v"(x));
}

// Adds the two bfloat16 products of each lane to `sums`: first the upper one, then the lower one, as
// vdpbf16ps does.
inline __attribute__((always_inline)) void dot_pairs(__m512& sums, __m512i a, __m512i b) {
#ifdef __AVX512BF16__
  asm("vdpbf16ps %2, %1, %0" : "+v"(sums) : "v"(a), "v"(b));
#else
  const __m512i upper = _mm512_set1_epi32(static_cast<int>(0xffff0000u));
  const auto high = [=](__m512i x) __attribute__((always_inline)) {
    return _mm512_castsi512_ps(_mm512_and_si512(x, upper));
  };
  const auto low = [](__m512i x) __attribute__((always_inline)) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(x, 16));
  };
  sums = _mm512_fmadd_ps(high(a), high(b), sums);
  sums = _mm512_fmadd_ps(low(a), low(b), sums);
#endif
}

// The bias terms of a row's groups g and g + 1. If there is no group g + 1, its bias is 0, and its term
// must be 0, too.
inline __attribute__((always_inline)) __m512i pair_of_terms(const uint16_t* terms, int64_t g,
                                                            int64_t groups) {
  int32_t pair = terms[g];
  if (g + 1 < groups) __builtin_memcpy(&pair, terms + g, 4);
  return _mm512_set1_epi32(pair);
}

// Sets the sums of `rows` rows, in the `left` and `right` halves of the panel, to the bias terms of all
// groups.
template <int rows>
inline __attribute__((always_inline)) void add_biases(const uint16_t* terms, ptrdiff_t ld_terms,
                                                      const uint16_t* biases, int64_t groups,
                                                      __m512 (&left)[rows], __m512 (&right)[rows]) {
#pragma GCC unroll 8
  for (int m = 0; m < rows; ++m) left[m] = right[m] = _mm512_setzero_ps();
  for (int64_t g = 0; g < groups; g += 2, biases += 2 * kInt8Panel) {
    const __m512i b0 = _mm512_loadu_si512(biases), b1 = _mm512_loadu_si512(biases + kInt8Panel);
#pragma GCC unroll 8
    for (int m = 0; m < rows; ++m) {
      const __m512i t = pair_of_terms(terms + m * ld_terms, g, groups);
      dot_pairs(left[m], b0, t);
      dot_pairs(right[m], b1, t);
    }
  }
}

// Loads four columns k of the panel's two halves, with one code a byte or (Int4Codes) two.
struct WholeCodes {
  static constexpr int kBytes = 128;
  static inline __attribute__((always_inline)) void load(const uint8_t* p, __m512i& left, __m512i& right) {
    left = _mm512_loadu_si512(p), right = _mm512_loadu_si512(p + 64);
  }
};
struct Int4Codes {
  static constexpr int kBytes = 64;
  static inline __attribute__((always_inline)) void load(const uint8_t* p, __m512i& left, __m512i& right) {
    const __m512i both = _mm512_loadu_si512(p), upper = _mm512_set1_epi8(static_cast<char>(0xf0));
    left = _mm512_and_si512(_mm512_slli_epi16(both, 4), upper), right = _mm512_and_si512(both, upper);
  }
};

// The cache lines that a tile prefetches with each four columns: none; one into L2; one into L1; two into L1.
enum class Ahead { nothing, line_to_l2, line, two_lines };

template <class Codes, int rows, Ahead ahead>
__attribute__((noinline)) void tile(const Int8Rows& x, const Int8Weights& w, int64_t groups, int group,
                                    const float* from, ptrdiff_t ld_from, float* y, ptrdiff_t ld_y,
                                    __mmask16 left, __mmask16 right, const uint8_t* next) {
  __m512 total0[rows], total1[rows];
  add_biases(x.bias_terms, 2 * x.ld_groups, w.biases, groups, total0, total1);
  const uint8_t* codes = w.codes;
  const int8_t* a = x.codes;
  const ptrdiff_t ld = x.ld;
  for (int64_t g = 0; g < groups; ++g) {
    __m512i sum0[rows], sum1[rows];
#pragma GCC unroll 8
    for (int m = 0; m < rows; ++m)
      sum0[m] = sum1[m] = _mm512_set1_epi32(x.accumulator_start[m * x.ld_groups + g]);
    for (int k = 0; k < group; k += 16) {
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i, codes += Codes::kBytes) {
        __m512i w0, w1;
        Codes::load(codes, w0, w1);
        if constexpr (ahead == Ahead::line_to_l2)
          _mm_prefetch(reinterpret_cast<const char*>(next), _MM_HINT_T1);
        if constexpr (ahead >= Ahead::line) _mm_prefetch(reinterpret_cast<const char*>(next), _MM_HINT_T0);
        if constexpr (ahead == Ahead::two_lines)
          _mm_prefetch(reinterpret_cast<const char*>(next) + 64, _MM_HINT_T0);
        if constexpr (ahead != Ahead::nothing) next += ahead == Ahead::two_lines ? 128 : 64;
#pragma GCC unroll 8
        for (int m = 0; m < rows; ++m) {
          int32_t quad;
          __builtin_memcpy(&quad, a + m * ld + 4 * i, 4);
          const __m512i b = _mm512_set1_epi32(quad);
          dot(sum0[m], w0, b);
          dot(sum1[m], w1, b);
        }
      }
      a += 16;
    }
    const __m512 s0 = _mm512_loadu_ps(w.scales + g * kInt8Panel),
                 s1 = _mm512_loadu_ps(w.scales + g * kInt8Panel + 16);
#pragma GCC unroll 8
    for (int m = 0; m < rows; ++m) {
      const __m512 scale = _mm512_set1_ps(x.scales[m * x.ld_groups + g]);
      total0[m] = _mm512_fmadd_ps(_mm512_mul_ps(_mm512_cvtepi32_ps(sum0[m]), scale), s0, total0[m]);
      total1[m] = _mm512_fmadd_ps(_mm512_mul_ps(_mm512_cvtepi32_ps(sum1[m]), scale), s1, total1[m]);
    }
  }
#pragma GCC unroll 8
  for (int m = 0; m < rows; ++m) {
    const float* z = from + m * ld_from;
    float* out = y + m * ld_y;
    _mm512_mask_storeu_ps(out, left, _mm512_add_ps(_mm512_maskz_loadu_ps(left, z), total0[m]));
    _mm512_mask_storeu_ps(out + 16, right, _mm512_add_ps(_mm512_maskz_loadu_ps(right, z + 16), total1[m]));
  }
}

template <class Codes, Ahead ahead, int rows = kTileRows>
void tile_of(int64_t count, const Int8Rows& x, const Int8Weights& w, int64_t groups, int group,
             const float* from, ptrdiff_t ld_from, float* y, ptrdiff_t ld_y, __mmask16 left, __mmask16 right,
             const uint8_t* next) {
  if constexpr (rows > 0) {
    if (count == rows)
      tile<Codes, rows, ahead>(x, w, groups, group, from, ld_from, y, ld_y, left, right, next);
    else
      tile_of<Codes, ahead, rows - 1>(count, x, w, groups, group, from, ld_from, y, ld_y, left, right, next);
  }
}

inline void prefetch_factors(const ReadAhead& next) {
  for (int64_t g = 0; g < next.groups; ++g) {
    _mm_prefetch(reinterpret_cast<const char*>(next.scales + g * kInt8Panel), _MM_HINT_T1);
    _mm_prefetch(reinterpret_cast<const char*>(next.scales + g * kInt8Panel + 16), _MM_HINT_T1);
    _mm_prefetch(reinterpret_cast<const char*>(next.biases + g * kInt8Panel), _MM_HINT_T1);
  }
}

template <class Codes>
void vnni_matmul(const Int8Rows& x, int64_t rows, const Int8Weights& w, int64_t groups, int group,
                 const float* from, ptrdiff_t ld_from, float* y, ptrdiff_t ld_y, int64_t columns,
                 const ReadAhead& next) {
  const auto left = static_cast<__mmask16>(columns >= 16 ? 0xffff : (1u << columns) - 1);
  const auto right = static_cast<__mmask16>(columns <= 16 ? 0 : (1u << (columns - 16)) - 1);
  const int64_t tiles = (rows + kTileRows - 1) / kTileRows;
  // A single tile prefetches up to two lines with each four columns. With several tiles, the first two
  // prefetch into L2, and the last two into L1: in L1 the rows between would displace the lines.
  const int64_t steps = groups * group / 4, lines = next.bytes / 64 / steps;
  prefetch_factors(next);
  int64_t done = 0;
  for (int64_t t = 0; t < tiles; ++t) {
    const int64_t count = (rows - done + tiles - t - 1) / (tiles - t);  // tiles of similar height
    const Int8Rows part = x.at(done, 0, group);
    const float* z = from + done * ld_from;
    float* out = y + done * ld_y;
    const auto run = [&]<Ahead ahead>(int64_t line) {
      tile_of<Codes, ahead>(count, part, w, groups, group, z, ld_from, out, ld_y, left, right,
                            next.codes + line * steps * 64);
    };
    const int64_t wanted = lines < 2 ? lines : 2, to_last = tiles - t;
    if (tiles == 1 && wanted == 2)
      run.template operator()<Ahead::two_lines>(0);
    else if (to_last <= wanted)
      run.template operator()<Ahead::line>(wanted - to_last);
    else if (t < wanted)
      run.template operator()<Ahead::line_to_l2>(t);
    else
      run.template operator()<Ahead::nothing>(0);
    done += count;
  }
}

}  // namespace
}  // namespace mlxe
