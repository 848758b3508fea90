// bf16_table.h's rounding with AVX-512 BF16.
#pragma once

#include <immintrin.h>

#include "kernels/bf16_table.h"
#include "kernels/x86/avx512_vector.h"

namespace mlxe {
namespace {

void round(const float* x, int64_t n, uint16_t* out) {
  for (int64_t i = 0; i < n; i += 32) {
    const int64_t left = n - i;
    const __m512 low = left >= 16 ? _mm512_loadu_ps(x + i) : Avx512::load_some(x + i, left);
    const __m512 high = left >= 32  ? _mm512_loadu_ps(x + i + 16)
                        : left > 16 ? Avx512::load_some(x + i + 16, left - 16)
                                    : _mm512_setzero_ps();
    _mm512_storeu_si512(out + i, (__m512i)_mm512_cvtne2ps_pbh(high, low));
  }
  if ((n + 31) / 32 % 2 == 1) _mm512_storeu_si512(out + (n + 31) / 32 * 32, _mm512_setzero_si512());
}

}  // namespace
}  // namespace mlxe
