// int8_table.h for the variants that use only int8_vnni_tile.h's products.
#pragma once

#include "kernels/x86/int8_rows_avx512.h"
#include "kernels/x86/int8_vnni_tile.h"

namespace mlxe {
namespace {

constexpr int kChains = 12;
constexpr int64_t kOperationsPerRound = kChains * 16 * 8;  // 16 sums x (4 multiplications + 4 additions)

float spin(int64_t rounds) {
  const __m512i one = _mm512_set1_epi8(1);
  __m512i sums[kChains];
#pragma GCC unroll 12
  for (int i = 0; i < kChains; ++i) sums[i] = _mm512_setzero_si512();
  for (int64_t r = 0; r < rounds; ++r)
#pragma GCC unroll 12
    for (int i = 0; i < kChains; ++i) dot(sums[i], one, one);
  __m512i total = sums[0];
#pragma GCC unroll 12
  for (int i = 1; i < kChains; ++i) total = _mm512_add_epi32(total, sums[i]);
  return static_cast<float>(_mm512_reduce_add_epi32(total));
}

constexpr Int8Kernels kVnniTable{.matmul = vnni_matmul<WholeCodes>,
                                 .matmul_int4 = vnni_matmul<Int4Codes>,
                                 .expand = expand,
                                 .quantize = quantize,
                                 .spin = spin,
                                 .operations_per_round = kOperationsPerRound};

}  // namespace
}  // namespace mlxe
