// expand() of int8_table.h with AVX2.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace mlxe {
namespace {

void expand(const uint8_t* packed, int64_t count, const uint8_t* table, uint8_t* codes) {
  const __m256i values =
      _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table)));
  const __m256i low = _mm256_set1_epi8(15);
  for (int64_t i = 0; i < count / 2; i += 32) {
    const __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(packed + i));
    uint8_t* out = codes + i / 64 * 128 + i % 64;
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out),
                        _mm256_shuffle_epi8(values, _mm256_and_si256(x, low)));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + 64),
                        _mm256_shuffle_epi8(values, _mm256_and_si256(_mm256_srli_epi16(x, 4), low)));
  }
}

}  // namespace
}  // namespace mlxe
