// GELU, x Phi(x), within 1e-6, for the AVX-512 variants.
#pragma once

#include <immintrin.h>

#include "kernels/x86/avx512_vector.h"

namespace mlxe {
namespace {

// x Phi(x) = x / 2 + h(|x|), h(a) = a (Phi(a) - 1/2). h is a polynomial of degree 4 on each of 15 segments
// of width 0.35 (fitted at Chebyshev nodes), and a / 2 beyond them. Absolute error below 6e-7.
constexpr float kSegment = 0.35f;
alignas(64) constexpr float kGelu[5][16] = {
    {0.0121555403f, 0.105109416f, 0.270561427f, 0.47739768f, 0.696735561f, 0.910304248f, 1.11144447f,
     1.30112731f, 1.48314178f, 1.66103005f, 1.83706295f, 2.01238537f, 2.18747354f, 2.36249447f, 2.53749895f,
     2.7125001f},
    {0.0483739339f, 0.133939028f, 0.191539347f, 0.21717f, 0.218451202f, 0.207655445f, 0.194875062f,
     0.185174286f, 0.179459795f, 0.176690504f, 0.175557435f, 0.175160527f, 0.175040483f, 0.175008953f,
     0.17500174f, 0.174999997f},
    {0.0473902673f, 0.036710877f, 0.0205691382f, 0.00576260919f, -0.0033972552f, -0.00653480459f,
     -0.00583420135f, -0.00381165138f, -0.00200386904f, -0.000879509083f, -0.000328250491f, -0.000105284424f,
     -2.92166533e-05f, -7.04656759e-06f, -1.48186859e-06f, 0.0f},
    {-0.00193364487f, -0.00481913472f, -0.00546885701f, -0.00410983991f, -0.00198125234f, -0.000268099306f,
     0.000561927969f, 0.000685199571f, 0.000492227729f, 0.000267154508f, 0.000117488104f, 4.31631051e-05f,
     1.34658285e-05f, 3.60312561e-06f, 8.32352725e-07f, 0.0f},
    {-0.00092401437f, -0.000464811455f, 0.000128387474f, 0.000496259541f, 0.000517558947f, 0.00032087916f,
     0.000103321043f, -2.46232139e-05f, -6.02711152e-05f, -4.83295807e-05f, -2.68500153e-05f,
     -1.16846777e-05f, -4.17010233e-06f, -1.24870337e-06f, -3.17936326e-07f, 0.0f}};

void gelu_erf(float* x, ptrdiff_t ld, int64_t rows, int64_t n) {
  __m512 c[5];
  for (int i = 0; i < 5; ++i) c[i] = _mm512_load_ps(kGelu[i]);
  const __m512 half = _mm512_set1_ps(0.5f), magic = _mm512_set1_ps(12582912.0f);
  const auto gelu = [&](__m512 v) __attribute__((always_inline)) {
    // The low bits of t are the index of the segment. d is the distance from the segment's middle, in
    // segments.
    const __m512 u = _mm512_fmsub_ps(_mm512_abs_ps(v), _mm512_set1_ps(1 / kSegment), half);
    const __m512 t = _mm512_min_ps(_mm512_add_ps(u, magic), _mm512_set1_ps(12582912.0f + 15));
    const __m512 d = _mm512_sub_ps(u, _mm512_sub_ps(t, magic));
    const __m512i segment = _mm512_castps_si512(t);
    __m512 p = _mm512_permutexvar_ps(segment, c[4]);
#pragma GCC unroll 4
    for (int i = 3; i >= 0; --i) p = _mm512_fmadd_ps(p, d, _mm512_permutexvar_ps(segment, c[i]));
    return _mm512_fmadd_ps(v, half, p);
  };
  for (int64_t m = 0; m < rows; ++m, x += ld) {
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) _mm512_storeu_ps(x + i, gelu(_mm512_loadu_ps(x + i)));
    if (i < n) Avx512::store_some(gelu(Avx512::load_some(x + i, n - i)), x + i, n - i);
  }
}

}  // namespace
}  // namespace mlxe
