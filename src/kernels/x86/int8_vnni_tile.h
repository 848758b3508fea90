// int8_table.h's matrix kernel with AVX-512 VNNI: vpdpbusd adds four products of unsigned codes and signed
// activations to each of sixteen 32-bit sums.
//
// A tile is up to 6 rows x 32 columns: 12 registers of integer sums, 12 of float ones. The integer sums start
// at the bits of 1.5 * 2^23 and stay below 2^22 (64 * 255 * 127) in magnitude, so that, read as floats, they
// are 1.5 * 2^23 plus the sum: no conversion, and the constant leaves with the term of the bias,
//   scale * (sum) + bias * a_sum = scale * float(bits) + (bias * a_sum - scale * 1.5 * 2^23),
// which costs at most one unit of the integer sum in rounding, far below what rounding the activations costs.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/int8_table.h"

namespace mlxe {
namespace {

constexpr int kTileRows = 6;
constexpr float kMagic = 12582912.0f;  // 1.5 * 2^23

// g++ 12 copies accumulators around the intrinsic in unrolled loops; the constraint keeps them in place.
inline __attribute__((always_inline)) void dot(__m512i& sums, __m512i w, __m512i x) {
  asm("vpdpbusd %2, %1, %0" : "+v"(sums) : "v"(w), "v"(x));
}

// `ahead`: cache lines of `next` to fetch per four columns of k.
template <int rows, int ahead>
__attribute__((noinline)) void tile(const Int8Rows& x, const Int8Weights& w, int64_t groups, int group,
                                    const float* from, ptrdiff_t ld_from, float* y, ptrdiff_t ld_y,
                                    __mmask16 left, __mmask16 right, const uint8_t* next) {
  const __m512i magic = _mm512_castps_si512(_mm512_set1_ps(kMagic));
  __m512 total0[rows], total1[rows];
#pragma GCC unroll 8
  for (int m = 0; m < rows; ++m) total0[m] = total1[m] = _mm512_setzero_ps();
  const uint8_t* codes = w.codes;
  const int8_t* a = x.codes;
  const ptrdiff_t ld = x.ld;
  for (int64_t g = 0; g < groups; ++g) {
    __m512i sum0[rows], sum1[rows];
#pragma GCC unroll 8
    for (int m = 0; m < rows; ++m) sum0[m] = sum1[m] = magic;
    for (int k = 0; k < group; k += 16) {
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i, codes += 128) {
        const __m512i w0 = _mm512_loadu_si512(codes), w1 = _mm512_loadu_si512(codes + 64);
        if constexpr (ahead > 0) _mm_prefetch(reinterpret_cast<const char*>(next), _MM_HINT_T0);
        if constexpr (ahead > 1) _mm_prefetch(reinterpret_cast<const char*>(next) + 64, _MM_HINT_T0);
        if constexpr (ahead > 0) next += 64 * ahead;
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
    const float* terms = x.groups + 2 * g;
    const auto add = [&](const __m512i(&sums)[rows], __m512(&total)[rows], const float* scales,
                         const float* biases) __attribute__((always_inline)) {
      const __m512 s = _mm512_loadu_ps(scales), b = _mm512_loadu_ps(biases);
      const __m512 shift = _mm512_mul_ps(s, _mm512_set1_ps(-kMagic));
#pragma GCC unroll 8
      for (int m = 0; m < rows; ++m) {
        const __m512 bias = _mm512_fmadd_ps(b, _mm512_set1_ps(terms[m * x.ld_groups + 1]), shift);
        const __m512 value = _mm512_fmadd_ps(_mm512_castsi512_ps(sums[m]), s, bias);
        total[m] = _mm512_fmadd_ps(value, _mm512_set1_ps(terms[m * x.ld_groups]), total[m]);
      }
    };
    add(sum0, total0, w.scales + g * kInt8Panel, w.biases + g * kInt8Panel);
    add(sum1, total1, w.scales + g * kInt8Panel + 16, w.biases + g * kInt8Panel + 16);
  }
#pragma GCC unroll 8
  for (int m = 0; m < rows; ++m) {
    const float* z = from + m * ld_from;
    float* out = y + m * ld_y;
    _mm512_mask_storeu_ps(out, left, _mm512_add_ps(_mm512_maskz_loadu_ps(left, z), total0[m]));
    _mm512_mask_storeu_ps(out + 16, right, _mm512_add_ps(_mm512_maskz_loadu_ps(right, z + 16), total1[m]));
  }
}

template <int ahead, int rows = kTileRows>
void tile_of(int64_t count, const Int8Rows& x, const Int8Weights& w, int64_t groups, int group,
             const float* from, ptrdiff_t ld_from, float* y, ptrdiff_t ld_y, __mmask16 left, __mmask16 right,
             const uint8_t* next) {
  if constexpr (rows > 0) {
    if (count == rows)
      tile<rows, ahead>(x, w, groups, group, from, ld_from, y, ld_y, left, right, next);
    else
      tile_of<ahead, rows - 1>(count, x, w, groups, group, from, ld_from, y, ld_y, left, right, next);
  }
}

void vnni_matmul(const Int8Rows& x, int64_t rows, const Int8Weights& w, int64_t groups, int group,
                 const float* from, ptrdiff_t ld_from, float* y, ptrdiff_t ld_y, int64_t columns,
                 const ReadAhead& next) {
  const auto left = static_cast<__mmask16>(columns >= 16 ? 0xffff : (1u << columns) - 1);
  const auto right = static_cast<__mmask16>(columns <= 16 ? 0 : (1u << (columns - 16)) - 1);
  const int64_t tiles = (rows + kTileRows - 1) / kTileRows;
  // A lone tile fetches up to two lines with each four columns; of several, the first two a line each.
  const int64_t steps = groups * group / 4, lines = next.bytes / 64 / steps;
  int64_t done = 0;
  for (int64_t t = 0; t < tiles; ++t) {
    const int64_t count = (rows - done + tiles - t - 1) / (tiles - t);  // tiles of nearly equal height
    const Int8Rows part{x.codes + done * x.ld, x.ld, x.groups + done * x.ld_groups, x.ld_groups};
    const float* z = from + done * ld_from;
    float* out = y + done * ld_y;
    if (tiles == 1 && lines >= 2)
      tile_of<2>(count, part, w, groups, group, z, ld_from, out, ld_y, left, right, next.from);
    else if (t < lines && t < 2)
      tile_of<1>(count, part, w, groups, group, z, ld_from, out, ld_y, left, right,
                 next.from + t * steps * 64);
    else
      tile_of<0>(count, part, w, groups, group, z, ld_from, out, ld_y, left, right, nullptr);
    done += count;
  }
}

}  // namespace
}  // namespace mlxe
