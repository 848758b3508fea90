// bf16_table.h with AVX-512 BF16: vdpbf16ps adds two products to each of sixteen sums.
#include "kernels/x86/attention_avx512.h"
#include "kernels/x86/bf16_avx512_vector.h"
#include "kernels/x86/bf16_round_avx512.h"
#include "kernels/x86/gelu_avx512.h"

namespace mlxe {
namespace {

// The products of attention.
struct VectorProducts {
  static constexpr int64_t kRows = 8;

  static inline __attribute__((always_inline)) void dot(__m512& sums, __m512i a, __m512i b) {
    asm("vdpbf16ps %2, %1, %0" : "+v"(sums) : "v"(a), "v"(b));  // as in int8_vnni_tile.h
  }
  static inline __attribute__((always_inline)) __m512i pair(const uint16_t* p) {
    int32_t bits;
    __builtin_memcpy(&bits, p, 4);
    return _mm512_set1_epi32(bits);
  }

  template <int vectors>
  static void score_block(const uint16_t* q, int64_t size, const uint16_t* keys, int64_t padded, float* s,
                          int64_t ld) {
    __m512 sums[kRows][vectors];
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) sums[i][v] = _mm512_setzero_ps();
    for (int64_t d = 0; d < size; d += 2, keys += 2 * padded) {
      __m512i k[vectors];
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) k[v] = _mm512_loadu_si512(keys + 32 * v);
#pragma GCC unroll 8
      for (int i = 0; i < kRows; ++i) {
        const __m512i query = pair(q + i * size + d);
#pragma GCC unroll 4
        for (int v = 0; v < vectors; ++v) dot(sums[i][v], query, k[v]);
      }
    }
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) _mm512_storeu_ps(s + i * ld + 16 * v, sums[i][v]);
  }
  static void scores(const uint16_t* q, int64_t size, const uint16_t* keys, int64_t padded, float* s,
                     int64_t ld) {
    for (int64_t j = 0; j < padded; j += 32) score_block<2>(q, size, keys + 2 * j, padded, s + j, ld);
  }

  static void values(const uint16_t* p, int64_t padded, const uint16_t* values, int64_t size, float* out) {
    for (int64_t d = 0; d < size; d += 32) {
      const uint16_t* v = values + d * padded;
      __m512 left[kRows], right[kRows];
#pragma GCC unroll 8
      for (int i = 0; i < kRows; ++i) left[i] = right[i] = _mm512_setzero_ps();
      for (int64_t key = 0; key < padded; key += 2, v += 64) {
        const __m512i v0 = _mm512_loadu_si512(v), v1 = _mm512_loadu_si512(v + 32);
#pragma GCC unroll 8
        for (int i = 0; i < kRows; ++i) {
          const __m512i weight = pair(p + i * padded + key);
          dot(left[i], weight, v0);
          dot(right[i], weight, v1);
        }
      }
#pragma GCC unroll 8
      for (int i = 0; i < kRows; ++i) {
        _mm512_storeu_ps(out + i * size + d, left[i]);
        _mm512_storeu_ps(out + i * size + d + 16, right[i]);
      }
    }
  }
};

constexpr int kRows = 8;

template <int rows>
__attribute__((noinline)) void tile(const uint16_t* x, ptrdiff_t ld_x, const uint16_t* w, int64_t depth,
                                    const float* from, ptrdiff_t ld_from, float* y, ptrdiff_t ld_y,
                                    __mmask16 left, __mmask16 right) {
  __m512 sums[rows][2];
#pragma GCC unroll 8
  for (int m = 0; m < rows; ++m) {
    sums[m][0] = _mm512_maskz_loadu_ps(left, from + m * ld_from);
    sums[m][1] = _mm512_maskz_loadu_ps(right, from + m * ld_from + 16);
  }
  for (int64_t k = 0; k < depth; k += kBf16Depth, w += kBf16Depth * kBf16Panel)
    for (int pair = 0; pair < 16; ++pair) {
      const __m512i w0 = _mm512_loadu_si512(w + 32 * pair), w1 = _mm512_loadu_si512(w + 512 + 32 * pair);
#pragma GCC unroll 8
      for (int m = 0; m < rows; ++m) {
        const __m512i a = VectorProducts::pair(x + m * ld_x + k + 2 * pair);
        VectorProducts::dot(sums[m][0], a, w0);
        VectorProducts::dot(sums[m][1], a, w1);
      }
    }
#pragma GCC unroll 8
  for (int m = 0; m < rows; ++m) {
    _mm512_mask_storeu_ps(y + m * ld_y, left, sums[m][0]);
    _mm512_mask_storeu_ps(y + m * ld_y + 16, right, sums[m][1]);
  }
}

template <int rows>
void tiles(int64_t count, const uint16_t* x, ptrdiff_t ld_x, const uint16_t* w, int64_t depth,
           const float* from, ptrdiff_t ld_from, float* y, ptrdiff_t ld_y, __mmask16 left, __mmask16 right) {
  if constexpr (rows > 0) {
    if (count < rows) return tiles<rows - 1>(count, x, ld_x, w, depth, from, ld_from, y, ld_y, left, right);
    tile<rows>(x, ld_x, w, depth, from, ld_from, y, ld_y, left, right);
  }
}

void matmul(const uint16_t* x, ptrdiff_t ld_x, int64_t rows, const uint16_t* w, int64_t depth,
            const float* from, ptrdiff_t ld_from, float* y, ptrdiff_t ld_y, int64_t columns) {
  for (int64_t m = 0; m < rows; m += kRows)
    for (int64_t n = 0; n < columns; n += kBf16Panel) {
      const int64_t count = columns - n;
      const auto left = static_cast<__mmask16>(count >= 16 ? 0xffff : (1u << count) - 1);
      const auto right = static_cast<__mmask16>(count >= 32   ? 0xffff
                                                : count <= 16 ? 0
                                                              : (1u << (count - 16)) - 1);
      tiles<kRows>(rows - m < kRows ? rows - m : kRows, x + m * ld_x, ld_x, w + n * depth, depth,
                   from + m * ld_from + n, ld_from, y + m * ld_y + n, ld_y, left, right);
    }
}

constexpr int kChains = 16;

float spin(int64_t rounds) {
  __m512i one = _mm512_set1_epi32(0x3f803f80);
  __m512 sums[kChains];
#pragma GCC unroll 16
  for (int i = 0; i < kChains; ++i) sums[i] = _mm512_setzero_ps();
  for (int64_t r = 0; r < rounds; ++r)
#pragma GCC unroll 16
    for (int i = 0; i < kChains; ++i) VectorProducts::dot(sums[i], one, one);
  __m512 total = sums[0];
#pragma GCC unroll 16
  for (int i = 1; i < kChains; ++i) total = _mm512_add_ps(total, sums[i]);
  return _mm512_reduce_add_ps(total);
}

}  // namespace

const Bf16Kernels kBf16Avx512Bf16{.matmul = matmul,
                                  .decode = Bf16Decode<Bf16Avx512>::decode,
                                  .round = round,
                                  .gelu_erf = gelu_erf,
                                  .attend = Bf16Attention<VectorProducts>::attend,
                                  .attend_bytes = Bf16Attention<VectorProducts>::scratch_bytes,
                                  .spin = spin,
                                  .flops_per_round = kChains * 16 * 4};

}  // namespace mlxe
