// int8_table.h's kernels other than the matrix product, for the AVX-512 variants.
#pragma once

#include <immintrin.h>

#include "kernels/generic/int8_body.h"
#include "kernels/x86/avx512_vector.h"

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

// Whole groups of 64 in four registers; what is left goes through the general form, to the same result.
void quantize(const float* x, int64_t n, int group, int8_t* codes, const Int8Groups& groups) {
  int64_t i = 0, g = 0;
  if (group == 64) {
    const __m512i magnitude = _mm512_set1_epi32(0x7fffffff), ones = _mm512_set1_epi8(1);
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    for (; i + 64 <= n; i += 64, ++g) {
      __m512 v[4];
      __m512i a[4];
#pragma GCC unroll 4
      for (int j = 0; j < 4; ++j) {
        v[j] = _mm512_loadu_ps(x + i + 16 * j);
        a[j] = _mm512_and_si512(_mm512_castps_si512(v[j]), magnitude);
      }
      // As integers, magnitudes are in the order of the floats, and NaN is above them all.
      const uint32_t bits = _mm512_reduce_max_epu32(
          _mm512_max_epu32(_mm512_max_epu32(a[0], a[1]), _mm512_max_epu32(a[2], a[3])));
      float largest;
      __builtin_memcpy(&largest, &bits, sizeof largest);
      const float inverse = largest > 1e-30f && largest < __builtin_inff() ? 127 / largest : 0;
      if (inverse == 0) {
        _mm512_storeu_si512(codes + i, _mm512_setzero_si512());
        describe_group(groups, g, largest, 0);
        continue;
      }
      const __m512 factor = _mm512_set1_ps(inverse);
#pragma GCC unroll 4
      for (int j = 0; j < 4; ++j) a[j] = _mm512_cvtps_epi32(_mm512_mul_ps(v[j], factor));
      const __m512i packed = _mm512_permutexvar_epi32(
          order, _mm512_packs_epi16(_mm512_packs_epi32(a[0], a[1]), _mm512_packs_epi32(a[2], a[3])));
      _mm512_storeu_si512(codes + i, packed);
      // Sums of pairs of bytes, then of pairs of those: four codes a lane.
      const __m512i fours = _mm512_madd_epi16(_mm512_maddubs_epi16(ones, packed), _mm512_set1_epi16(1));
      describe_group(groups, g, largest, _mm512_reduce_add_epi32(fours));
    }
  }
  if (i < n)
    Int8Quantize<Avx512>::quantize(x + i, n - i, group, codes + i,
                                   {groups.scales + g, groups.starts + g, groups.terms + g});
}

}  // namespace
}  // namespace mlxe
