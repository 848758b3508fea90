// The kernels of int8_table.h other than the matrix product, for the AVX-512 variants.
#pragma once

#include <immintrin.h>

#include "kernels/generic/int8_body.h"
#include "kernels/x86/avx512_vector.h"
#include "kernels/x86/reduce_avx512.h"

namespace mlxe {
namespace {

void expand(const uint8_t* packed, int64_t count, const uint8_t* table, uint8_t* codes) {
  const __m512i values = _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table)));
  const __m512i low = _mm512_set1_epi8(15);
  for (int64_t i = 0; i < count / 2; i += 64, codes += 128) {
    const __m512i x = _mm512_loadu_si512(packed + i);
    _mm512_storeu_si512(codes, _mm512_shuffle_epi8(values, _mm512_and_si512(x, low)));
    _mm512_storeu_si512(codes + 64,
                        _mm512_shuffle_epi8(values, _mm512_and_si512(_mm512_srli_epi16(x, 4), low)));
  }
}

// Eight rows. If there are fewer, some rows occur twice.
struct EightRows {
  const float* x[8];
  int8_t* codes[8];
  Int8Groups groups[8];
};

// Quantizes group g (64 values, from column 64 g on) of each row.
inline __attribute__((always_inline)) void quantize_eight(const EightRows& rows, int64_t g) {
  const __m512i magnitude = _mm512_set1_epi32(0x7fffffff), ones = _mm512_set1_epi8(1);
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  __m512 most[8];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) {
    __m512i a[4];
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j)
      a[j] = _mm512_and_si512(_mm512_castps_si512(_mm512_loadu_ps(rows.x[i] + 64 * g + 16 * j)), magnitude);
    // Compared as integers, magnitudes have the order of the floats, and NaN is the largest.
    most[i] =
        _mm512_castsi512_ps(_mm512_max_epu32(_mm512_max_epu32(a[0], a[1]), _mm512_max_epu32(a[2], a[3])));
  }
  const __m512 largest = reduce_eight(
      most, [](__m512 a, __m512 b) __attribute__((always_inline)) {
        return _mm512_castsi512_ps(_mm512_max_epu32(_mm512_castps_si512(a), _mm512_castps_si512(b)));
      });
  const __m512 tiny = _mm512_set1_ps(1e-30f), steps = _mm512_set1_ps(127);
  const __mmask16 finite = _mm512_cmp_ps_mask(largest, _mm512_set1_ps(__builtin_inff()), _CMP_LT_OQ);
  const __mmask16 there = _mm512_mask_cmp_ps_mask(finite, largest, tiny, _CMP_GT_OQ);
  const __m512 inverse = _mm512_maskz_div_ps(there, steps, largest);
  const __m512 scale = _mm512_maskz_div_ps(_mm512_cmp_ps_mask(largest, tiny, _CMP_NLT_UQ), largest, steps);
  __m512 fours[8];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) {
    const __m512 factor = broadcast_eighth(inverse, i);
    __m512i a[4];
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j)
      a[j] = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(rows.x[i] + 64 * g + 16 * j), factor));
    const __m512i packed = _mm512_permutexvar_epi32(
        order, _mm512_packs_epi16(_mm512_packs_epi32(a[0], a[1]), _mm512_packs_epi32(a[2], a[3])));
    _mm512_storeu_si512(rows.codes[i] + 64 * g, packed);
    // Adds pairs of bytes, then pairs of these sums: each lane has the sum of four codes.
    fours[i] =
        _mm512_castsi512_ps(_mm512_madd_epi16(_mm512_maddubs_epi16(ones, packed), _mm512_set1_epi16(1)));
  }
  const __m512i all = _mm512_castps_si512(reduce_eight(
      fours, [](__m512 a, __m512 b) __attribute__((always_inline)) {
        return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(a), _mm512_castps_si512(b)));
      }));
  // Clears groups that are not finite: their codes would be NaN * 0.
  if (finite != 0xffff) {
    for (int i = 0; i < 8; ++i)
      if (!(finite >> eighth(i) & 1)) _mm512_storeu_si512(rows.codes[i] + 64 * g, _mm512_setzero_si512());
  }
  const __m512i sums = _mm512_maskz_mov_epi32(finite, all);
  const __m512i bits = _mm512_castps_si512(_mm512_mul_ps(scale, _mm512_cvtepi32_ps(sums)));
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i rounded = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd);
  alignas(64) float scales[16];
  alignas(64) int32_t starts[16], terms[16];
  _mm512_store_ps(scales, scale);
  _mm512_store_si512(starts, _mm512_sub_epi32(_mm512_setzero_si512(), _mm512_slli_epi32(sums, 7)));
  _mm512_store_si512(
      terms, _mm512_maskz_mov_epi32(_mm512_test_epi32_mask(sums, sums), _mm512_srli_epi32(rounded, 16)));
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) {
    rows.groups[i].scales[g] = scales[eighth(i)];
    rows.groups[i].accumulator_start[g] = starts[eighth(i)];
    rows.groups[i].bias_terms[g] = static_cast<uint16_t>(terms[eighth(i)]);
  }
}

// Quantizes groups of 64 values eight rows at a time. Other group sizes, and the rest of a row, use the
// general form, with the same result.
void quantize(const float* x, ptrdiff_t ld_x, int64_t rows, int64_t n, int group, int8_t* codes,
              ptrdiff_t ld_codes, const Int8Groups& groups, ptrdiff_t ld_groups) {
  const int64_t whole = group == 64 ? n / 64 : 0;  // groups of a row
  for (int64_t m = 0; whole > 0 && m < rows; m += 8) {
    EightRows eight;
    for (int64_t i = 0; i < 8; ++i) {
      const int64_t row = m + i < rows ? m + i : rows - 1;
      eight.x[i] = x + row * ld_x;
      eight.codes[i] = codes + row * ld_codes;
      eight.groups[i] = groups.further(row * ld_groups);
    }
    for (int64_t g = 0; g < whole; ++g) quantize_eight(eight, g);
  }
  if (whole * 64 == n) return;
  for (int64_t m = 0; m < rows; ++m)
    Int8Quantize<Avx512>::quantize_row(x + m * ld_x + whole * 64, n - whole * 64, group,
                                       codes + m * ld_codes + whole * 64,
                                       groups.further(m * ld_groups).past(whole));
}

}  // namespace
}  // namespace mlxe
