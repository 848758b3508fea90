// int8_table.h with AVX-VNNI: vpdpbusd on the registers of AVX2, in its VEX encoding. The same operations
// in the same order as in int8_vnni_tile.h: the bits are the same.
//
// A tile has up to 6 rows x 16 columns: 12 registers of integer sums. The float sums are in memory and
// updated once for each group.
//
// To test it on a processor with AVX-512 VNNI but without AVX-VNNI, tests/kernels/x86 compiles this file
// with the EVEX encoding of the instruction and another name for the table.
#include "kernels/generic/int8_body.h"
#include "kernels/x86/avx2_vector.h"
#include "kernels/x86/int8_rows_avx2.h"

#ifndef MLXE_VPDPBUSD_ENCODING
#define MLXE_VPDPBUSD_ENCODING "%{vex%}"
#define MLXE_INT8_TABLE kInt8AvxVnni
#endif

namespace mlxe {
namespace {

constexpr int kTileRows = 6, kTileColumns = 16;

inline __attribute__((always_inline)) void dot(__m256i& sums, __m256i w, __m256i x) {
  asm(MLXE_VPDPBUSD_ENCODING " vpdpbusd %2, %1, %0" : "+x"(sums) : "x"(w), "x"(x));
}

template <int rows>
__attribute__((noinline)) void tile(const Int8Rows& x, const Int8Weights& w, int64_t groups, int group,
                                    int first, float* out) {
  __m256 totals[rows][2];
  for (int m = 0; m < rows; ++m) totals[m][0] = totals[m][1] = _mm256_setzero_ps();
  const __m256i upper = _mm256_set1_epi32(static_cast<int>(0xffff0000u));
  for (int64_t g = 0; g < groups; g += 2)
    for (int v = 0; v < 2; ++v) {
      const uint16_t* biases = w.biases + g * kInt8Panel + 2 * first + 16 * v;
      const __m256i pairs = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(biases));
      const __m256 even = _mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16)),
                   odd = _mm256_castsi256_ps(_mm256_and_si256(pairs, upper));
      for (int m = 0; m < rows; ++m) {
        const uint16_t* terms = x.bias_terms + m * 2 * x.ld_groups + g;
        if (g + 1 < groups)
          totals[m][v] = _mm256_fmadd_ps(odd, _mm256_set1_ps(bf16_to_float(terms[1])), totals[m][v]);
        totals[m][v] = _mm256_fmadd_ps(even, _mm256_set1_ps(bf16_to_float(terms[0])), totals[m][v]);
      }
    }
  const uint8_t* codes = w.codes + first * 4;
  const int8_t* a = x.codes;
  const ptrdiff_t ld = x.ld;
  for (int64_t g = 0; g < groups; ++g) {
    __m256i sums[rows][2];
#pragma GCC unroll 8
    for (int m = 0; m < rows; ++m)
      sums[m][0] = sums[m][1] = _mm256_set1_epi32(x.accumulator_start[m * x.ld_groups + g]);
    for (int k = 0; k < group; k += 4, codes += 4 * kInt8Panel, a += 4) {
      const __m256i w0 = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes)),
                    w1 = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes + 32));
#pragma GCC unroll 8
      for (int m = 0; m < rows; ++m) {
        int32_t quad;
        __builtin_memcpy(&quad, a + m * ld, 4);
        const __m256i b = _mm256_set1_epi32(quad);
        dot(sums[m][0], w0, b);
        dot(sums[m][1], w1, b);
      }
    }
    const float* scales = w.scales + g * kInt8Panel + first;
#pragma GCC unroll 2
    for (int v = 0; v < 2; ++v) {
      const __m256 s = _mm256_loadu_ps(scales + 8 * v);
#pragma GCC unroll 8
      for (int m = 0; m < rows; ++m) {
        const __m256 scale = _mm256_set1_ps(x.scales[m * x.ld_groups + g]);
        totals[m][v] = _mm256_fmadd_ps(_mm256_mul_ps(_mm256_cvtepi32_ps(sums[m][v]), scale), s, totals[m][v]);
      }
    }
  }
  for (int m = 0; m < rows; ++m) {
    _mm256_storeu_ps(out + m * kInt8Panel + first, totals[m][0]);
    _mm256_storeu_ps(out + m * kInt8Panel + first + 8, totals[m][1]);
  }
}

template <int rows = kTileRows>
void tiles(int64_t count, const Int8Rows& x, const Int8Weights& w, int64_t groups, int group, int64_t columns,
           float* out) {
  if constexpr (rows > 0) {
    if (count < rows) return tiles<rows - 1>(count, x, w, groups, group, columns, out);
    for (int first = 0; first < columns; first += kTileColumns) tile<rows>(x, w, groups, group, first, out);
  }
}

void matmul(const Int8Rows& x, int64_t rows, const Int8Weights& w, int64_t groups, int group,
            const float* from, ptrdiff_t ld_from, float* y, ptrdiff_t ld_y, int64_t columns,
            const ReadAhead&) {
  const int64_t count_of_tiles = (rows + kTileRows - 1) / kTileRows;
  int64_t done = 0;
  for (int64_t t = 0; t < count_of_tiles; ++t) {
    const int64_t left = count_of_tiles - t, count = (rows - done + left - 1) / left;  // of similar height
    float out[kTileRows * kInt8Panel];
    tiles(count, x.at(done, 0, group), w, groups, group, columns, out);
    for (int64_t i = 0; i < count; ++i, ++done)
      for (int64_t n = 0; n < columns; ++n)
        y[done * ld_y + n] = from[done * ld_from + n] + out[i * kInt8Panel + n];
  }
}

constexpr int kChains = 12;
constexpr int64_t kOperationsPerRound = kChains * 8 * 8;  // 8 sums x (4 multiplications + 4 additions)

float spin(int64_t rounds) {
  const __m256i one = _mm256_set1_epi8(1);
  __m256i sums[kChains];
#pragma GCC unroll 12
  for (int i = 0; i < kChains; ++i) sums[i] = _mm256_setzero_si256();
  for (int64_t r = 0; r < rounds; ++r)
#pragma GCC unroll 12
    for (int i = 0; i < kChains; ++i) dot(sums[i], one, one);
  __m256i total = sums[0];
#pragma GCC unroll 12
  for (int i = 1; i < kChains; ++i) total = _mm256_add_epi32(total, sums[i]);
  return Avx2::sum(_mm256_cvtepi32_ps(total));
}

}  // namespace

const Int8Kernels MLXE_INT8_TABLE{.matmul = matmul,
                                  .matmul_int4 = nullptr,
                                  .expand = expand,
                                  .quantize = Int8Quantize<Avx2>::quantize,
                                  .spin = spin,
                                  .operations_per_round = kOperationsPerRound};

}  // namespace mlxe
