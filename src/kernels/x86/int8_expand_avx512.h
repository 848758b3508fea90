// int8_table.h's expand, for the AVX-512 variants.
#pragma once

#include <immintrin.h>

#include <cstdint>

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

}  // namespace
}  // namespace mlxe
