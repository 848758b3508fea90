// The attention of bf16_table.h, for the variants with bfloat16 products. `P` computes the two products for
// a block of P::kRows queries; it configures and releases its registers:
//   scores(q, size, keys, padded, s, ld)     s[row][key] = q . key
//   values(p, ld, keys, values, size, out)   out[row][d] = sum over keys of p[row][key] * value
// Layouts, with two neighbours of the summed dimension side by side:
//   keys    [size / 2][padded][2]
//   values  [size / 32][keys / 2][2 x 16][2]
#pragma once

#include <immintrin.h>

#include "kernels/bf16_table.h"
#include "kernels/x86/avx512_vector.h"
#include "kernels/x86/reduce_avx512.h"

namespace mlxe {
namespace {

inline __attribute__((always_inline)) __m512i to_bf16(__m512 low, __m512 high) {
  return (__m512i)_mm512_cvtne2ps_pbh(high, low);
}

// 2^x for x <= 0. Relative error below 1e-5, far below that of the bfloat16 to which the result is rounded.
inline __attribute__((always_inline)) __m512 exp2_fast(__m512 x) {
  const __m512 n = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  const __m512 f = _mm512_sub_ps(x, n);
  __m512 p = _mm512_fmadd_ps(_mm512_set1_ps(0.00967077f), f, _mm512_set1_ps(0.05587554f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.24022212f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.69312726f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(1.0f));
  return _mm512_scalef_ps(p, n);
}

template <class P>
struct Bf16Attention {
  static int64_t round_up(int64_t n, int64_t of) { return (n + of - 1) / of * of; }

  // Parts of the scratch memory, each a multiple of 64 bytes.
  struct Scratch {
    uint16_t *keys, *values, *queries, *weights;
    float *scores, *sums;
  };
  static Scratch pieces(uint8_t* at, int64_t padded, int64_t size) {
    Scratch s;
    const auto take = [&](int64_t bytes) {
      uint8_t* piece = at;
      at += bytes;
      return piece;
    };
    s.keys = reinterpret_cast<uint16_t*>(take(padded * size * 2));
    s.values = reinterpret_cast<uint16_t*>(take(padded * size * 2));
    s.queries = reinterpret_cast<uint16_t*>(take(P::kRows * size * 2));
    s.weights = reinterpret_cast<uint16_t*>(take(P::kRows * padded * 2));
    s.scores = reinterpret_cast<float*>(take(P::kRows * padded * 4));
    s.sums = reinterpret_cast<float*>(take(P::kRows * size * 4));
    return s;
  }
  static int64_t scratch_bytes(int64_t n, int64_t size) {
    const int64_t padded = round_up(n, 32);
    return 4 * padded * size + P::kRows * (6 * size + 6 * padded);
  }

  static void pack_keys(const float* k, ptrdiff_t ld, int64_t n, int64_t padded, int64_t size,
                        uint16_t* out) {
    for (int64_t first = 0; first < padded; first += 16)
      for (int64_t d = 0; d < size; d += 32) {
        __m512 r[16];
        for (int i = 0; i < 16; ++i) {
          const float* row = k + (first + i) * ld + d;
          r[i] = first + i < n ? _mm512_castsi512_ps(to_bf16(_mm512_loadu_ps(row), _mm512_loadu_ps(row + 16)))
                               : _mm512_setzero_ps();
        }
        Avx512::transpose(r);
        for (int i = 0; i < 16; ++i)
          _mm512_storeu_ps(reinterpret_cast<float*>(out + ((d / 2 + i) * padded + first) * 2), r[i]);
      }
  }

  static void pack_values(const float* v, ptrdiff_t ld, int64_t n, int64_t padded, int64_t size,
                          uint16_t* out) {
    alignas(64) uint16_t order[32];  // element i of the first row, then of the second
    for (int i = 0; i < 16; ++i) {
      order[2 * i] = static_cast<uint16_t>(i);
      order[2 * i + 1] = static_cast<uint16_t>(i + 16);
    }
    const __m512i interleave = _mm512_load_si512(order);
    for (int64_t d = 0; d < size; d += 32)
      for (int64_t key = 0; key < padded; key += 2) {
        const float* row = v + key * ld + d;
        const bool first = key < n, second = key + 1 < n;
        for (int half = 0; half < 2; ++half) {
          const __m512 a = first ? _mm512_loadu_ps(row + 16 * half) : _mm512_setzero_ps();
          const __m512 b = second ? _mm512_loadu_ps(row + ld + 16 * half) : _mm512_setzero_ps();
          _mm512_storeu_si512(out + d * padded + (key * 32) + half * 32,
                              _mm512_permutexvar_epi16(interleave, to_bf16(a, b)));
        }
      }
  }

  // For eight rows of scores: writes exp2(score - row's largest score) as bfloat16, and zeros from n on.
  // Returns the inverse of each row's sum, row i in lane eighth(i).
  static __m512 softmax_eight(const float* scores, int64_t n, int64_t padded, uint16_t* weights) {
    const int64_t full = n / 16 * 16;
    const __mmask16 tail = Avx512::mask(n - full);
    const __m512 lowest = _mm512_set1_ps(-3e38f);
    __m512 most[8], sums[8];
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) most[i] = _mm512_mask_loadu_ps(lowest, tail, scores + i * padded + full);
    for (int64_t j = 0; j < full; j += 16)
#pragma GCC unroll 8
      for (int i = 0; i < 8; ++i) most[i] = _mm512_max_ps(most[i], _mm512_loadu_ps(scores + i * padded + j));
    const __m512 largest = reduce_eight(
        most, [](__m512 x, __m512 y) __attribute__((always_inline)) { return _mm512_max_ps(x, y); });
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
      const float* row = scores + i * padded;
      uint16_t* out = weights + i * padded;
      const __m512 base = broadcast_eighth(largest, i);
      const auto power = [&](int64_t j) __attribute__((always_inline)) {
        return exp2_fast(_mm512_sub_ps(_mm512_loadu_ps(row + j), base));
      };
      __m512 sum0 = _mm512_setzero_ps(), sum1 = sum0;
      int64_t j = 0;
      for (; j + 32 <= n; j += 32) {
        const __m512 e0 = power(j), e1 = power(j + 16);
        sum0 = _mm512_add_ps(sum0, e0);
        sum1 = _mm512_add_ps(sum1, e1);
        _mm512_storeu_si512(out + j, to_bf16(e0, e1));
      }
      if (j < n) {
        const int64_t left = n - j;
        const __m512 e0 = _mm512_maskz_mov_ps(left >= 16 ? 0xffff : tail, power(j));
        const __m512 e1 = left > 16 ? _mm512_maskz_mov_ps(tail, power(j + 16)) : _mm512_setzero_ps();
        sum0 = _mm512_add_ps(sum0, e0);
        sum1 = _mm512_add_ps(sum1, e1);
        _mm512_storeu_si512(out + j, to_bf16(e0, e1));
      }
      sums[i] = _mm512_add_ps(sum0, sum1);
    }
    return _mm512_div_ps(
        _mm512_set1_ps(1.0f),
        reduce_eight(
            sums, [](__m512 x, __m512 y) __attribute__((always_inline)) { return _mm512_add_ps(x, y); }));
  }

  // Adds -slope * |query - key| to each row of scores. The first row's query has number `first`.
  static void add_linear_biases(float* scores, int64_t first, int64_t padded, float slope) {
    const __m512 factor = _mm512_set1_ps(slope);
    const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    for (int64_t i = 0; i < P::kRows; ++i)
      for (int64_t j = 0; j < padded; j += 16) {
        const __m512i apart =
            _mm512_abs_epi32(_mm512_add_epi32(lanes, _mm512_set1_epi32(static_cast<int>(j - (first + i)))));
        float* at = scores + i * padded + j;
        _mm512_storeu_ps(at, _mm512_fnmadd_ps(factor, _mm512_cvtepi32_ps(apart), _mm512_loadu_ps(at)));
      }
  }

  // Adds factor * terms to the scores of `rows` queries from number `first` on.
  static void add_terms(float* scores, const Attention& a, int64_t first, int64_t rows, int64_t padded,
                        float factor) {
    const __m512 f = _mm512_set1_ps(factor);
    for (int64_t i = 0; i < rows; ++i) {
      const float* terms = a.terms + (first + i) * a.ld_terms;
      float* row = scores + i * padded;
      for (int64_t j = 0; j < a.tokens; j += 16) {
        const __mmask16 lanes = a.tokens - j < 16 ? Avx512::mask(a.tokens - j) : __mmask16{0xffff};
        const __m512 t = _mm512_maskz_loadu_ps(lanes, terms + j);
        _mm512_storeu_ps(row + j, _mm512_fmadd_ps(f, t, _mm512_loadu_ps(row + j)));
      }
    }
  }

  static void attend(const Attention& a, uint8_t* memory) {
    const int64_t n = a.tokens, size = a.size, padded = round_up(n, 32);
    const Scratch s = pieces(memory, padded, size);
    const P products;
    pack_keys(a.keys, a.ld, n, padded, size, s.keys);
    pack_values(a.values, a.ld, n, padded, size, s.values);
    constexpr float kLog2E = 1.44269504f;  // scores become exponents of 2
    const __m512 factor = _mm512_set1_ps(a.factor * kLog2E);
    for (int64_t first = 0; first < a.count; first += P::kRows) {
      const int64_t rows = a.count - first < P::kRows ? a.count - first : P::kRows;
      for (int64_t i = 0; i < P::kRows; ++i) {
        const float* q = a.queries + (first + (i < rows ? i : 0)) * a.ld;
        for (int64_t d = 0; d < size; d += 32)
          _mm512_storeu_si512(s.queries + i * size + d,
                              to_bf16(_mm512_mul_ps(_mm512_loadu_ps(q + d), factor),
                                      _mm512_mul_ps(_mm512_loadu_ps(q + d + 16), factor)));
      }
      products.scores(s.queries, size, s.keys, padded, s.scores, padded);
      if (a.slope != 0) add_linear_biases(s.scores, first, padded, a.slope * kLog2E);
      if (a.terms != nullptr) add_terms(s.scores, a, first, rows, padded, a.terms_factor * kLog2E);
      __m512 inverse[P::kRows / 8];
      for (int64_t i = 0; i < P::kRows / 8; ++i)
        inverse[i] = softmax_eight(s.scores + 8 * i * padded, n, padded, s.weights + 8 * i * padded);
      products.values(s.weights, padded, s.values, size, s.sums);
      for (int64_t i = 0; i < rows; ++i) {
        const __m512 scale = broadcast_eighth(inverse[i / 8], static_cast<int>(i % 8));
        for (int64_t d = 0; d < size; d += 16)
          _mm512_storeu_ps(a.out + (first + i) * a.ld_out + d,
                           _mm512_mul_ps(_mm512_loadu_ps(s.sums + i * size + d), scale));
      }
    }
  }
};

}  // namespace
}  // namespace mlxe
