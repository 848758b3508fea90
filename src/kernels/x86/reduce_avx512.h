// Reduces eight registers at once, with a third of the instructions of eight single reductions.
#pragma once

#include <immintrin.h>

namespace mlxe {
namespace {

// Lane eighth(i) of the result is `op` over the sixteen lanes of v[i]. `op` must not depend on their order.
template <class Op>
inline __attribute__((always_inline)) __m512 reduce_eight(const __m512 (&v)[8], const Op& op) {
  __m512 a[4], b[2];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i)
    a[i] = op(_mm512_shuffle_f32x4(v[2 * i], v[2 * i + 1], 0x44),
              _mm512_shuffle_f32x4(v[2 * i], v[2 * i + 1], 0xee));
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i)
    b[i] = op(_mm512_shuffle_f32x4(a[2 * i], a[2 * i + 1], 0x88),
              _mm512_shuffle_f32x4(a[2 * i], a[2 * i + 1], 0xdd));
  const __m512 c = op(_mm512_shuffle_ps(b[0], b[1], 0x88), _mm512_shuffle_ps(b[0], b[1], 0xdd));
  return op(c, _mm512_permute_ps(c, 0xb1));
}

constexpr int eighth(int i) {
  return 4 * (i % 4) + 2 * (i / 4);
}

// Lane eighth(i) of v in every lane.
inline __attribute__((always_inline)) __m512 broadcast_eighth(__m512 v, int i) {
  return _mm512_permutexvar_ps(_mm512_set1_epi32(eighth(i)), v);
}

}  // namespace
}  // namespace mlxe
