// Bf16Avx512: the wrapper for bf16_body.h without bfloat16 instructions.
#pragma once

#include "kernels/generic/bf16_body.h"
#include "kernels/x86/avx512_vector.h"

namespace mlxe {
namespace {

struct Bf16Avx512 : Avx512 {
  static constexpr int kBf16Rows = 8;
  using Codes = __m512i;

  static Codes load_codes(const uint8_t* p) { return _mm512_loadu_si512(p); }
  static Codes load_int4_codes(const uint8_t* p, bool high, const uint8_t* table) {
    const __m512i values = _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table)));
    const __m512i x = _mm512_loadu_si512(p);
    return _mm512_shuffle_epi8(values,
                               _mm512_and_si512(high ? _mm512_srli_epi16(x, 4) : x, _mm512_set1_epi8(15)));
  }
  template <int i>
  static Float code(Codes c) {
    const __m512i at = i == 0   ? _mm512_slli_epi32(c, 15)
                       : i == 1 ? _mm512_slli_epi32(c, 7)
                       : i == 2 ? _mm512_srli_epi32(c, 1)
                                : _mm512_srli_epi32(c, 9);
    constexpr int kAAndBOrC = 0xea;
    return _mm512_castsi512_ps(
        _mm512_ternarylogic_epi32(at, _mm512_set1_epi32(0x7f8000), _mm512_set1_epi32(0x43000000), kAAndBOrC));
  }
  static __m512i rounded(Float x) {  // upper 16 bits: the nearest bfloat16, ties away from zero
    return _mm512_add_epi32(_mm512_castps_si512(x), _mm512_set1_epi32(0x8000));
  }
  static void store_pairs(Float a, Float b, uint16_t* p) {
    constexpr int kAOrBAndC = 0xf8;
    _mm512_storeu_si512(
        p, _mm512_ternarylogic_epi32(_mm512_srli_epi32(rounded(a), 16), rounded(b),
                                     _mm512_set1_epi32(static_cast<int>(0xffff0000)), kAOrBAndC));
  }
  static void store_bf16(Float x, uint16_t* p) {
    const __m512i bits = _mm512_castps_si512(x);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i even = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd);
    const __m512i quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x400000));
    const __m512i upper = _mm512_mask_blend_epi32(_mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), even, quiet);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(_mm512_srli_epi32(upper, 16)));
  }
  static Float low(const uint16_t* p) { return _mm512_castsi512_ps(_mm512_slli_epi32(load_pairs(p), 16)); }
  static Float high(const uint16_t* p) {
    return _mm512_castsi512_ps(
        _mm512_and_si512(load_pairs(p), _mm512_set1_epi32(static_cast<int>(0xffff0000))));
  }
  static __m512i pair(const uint16_t* p) {
    int32_t bits;
    __builtin_memcpy(&bits, p, 4);
    return _mm512_set1_epi32(bits);
  }
  static Float low_all(const uint16_t* p) { return _mm512_castsi512_ps(_mm512_slli_epi32(pair(p), 16)); }
  static Float high_all(const uint16_t* p) {
    return _mm512_castsi512_ps(_mm512_and_si512(pair(p), _mm512_set1_epi32(static_cast<int>(0xffff0000))));
  }

 private:
  static __m512i load_pairs(const uint16_t* p) { return _mm512_loadu_si512(p); }
};

}  // namespace
}  // namespace mlxe
