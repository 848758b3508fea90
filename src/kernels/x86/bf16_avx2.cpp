// bf16_table.h with AVX2.
#include "kernels/generic/bf16_body.h"
#include "kernels/x86/avx2_vector.h"

namespace mlxe {
namespace {

struct Bf16Avx2 : Avx2 {
  static constexpr int kBf16Rows = 4;
  using Codes = __m256i;

  static __m256i load_bits(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
  static Codes load_codes(const uint8_t* p) { return load_bits(p); }
  static Codes load_int4_codes(const uint8_t* p, bool high, const uint8_t* table) {
    const __m256i values =
        _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table)));
    const __m256i x = load_bits(p);
    return _mm256_shuffle_epi8(values,
                               _mm256_and_si256(high ? _mm256_srli_epi16(x, 4) : x, _mm256_set1_epi8(15)));
  }
  template <int i>
  static Float code(Codes c) {
    const __m256i at = i == 0   ? _mm256_slli_epi32(c, 15)
                       : i == 1 ? _mm256_slli_epi32(c, 7)
                       : i == 2 ? _mm256_srli_epi32(c, 1)
                                : _mm256_srli_epi32(c, 9);
    return _mm256_castsi256_ps(
        _mm256_or_si256(_mm256_and_si256(at, _mm256_set1_epi32(0x7f8000)), _mm256_set1_epi32(0x43000000)));
  }
  static __m256i rounded(Float x) {  // upper 16 bits: the nearest bfloat16, ties away from zero
    return _mm256_add_epi32(_mm256_castps_si256(x), _mm256_set1_epi32(0x8000));
  }
  static void store_pairs(Float a, Float b, uint16_t* p) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                        _mm256_blend_epi16(_mm256_srli_epi32(rounded(a), 16), rounded(b), 0xaa));
  }
  static void store_bf16(Float x, uint16_t* p) {
    const __m256i quiet = _mm256_or_si256(_mm256_castps_si256(x), _mm256_set1_epi32(0x400000));
    const __m256i bits = _mm256_castps_si256(x);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i even = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd);
    const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    const __m256i upper = _mm256_srli_epi32(_mm256_blendv_epi8(even, quiet, nan), 16);
    const __m256i words = _mm256_permute4x64_epi64(_mm256_packus_epi32(upper, upper), 0xd8);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_castsi256_si128(words));
  }
  static Float low(const uint16_t* p) { return _mm256_castsi256_ps(_mm256_slli_epi32(load_bits(p), 16)); }
  static Float high(const uint16_t* p) {
    return _mm256_castsi256_ps(
        _mm256_and_si256(load_bits(p), _mm256_set1_epi32(static_cast<int>(0xffff0000))));
  }
  static __m256i pair(const uint16_t* p) {
    int32_t bits;
    __builtin_memcpy(&bits, p, 4);
    return _mm256_set1_epi32(bits);
  }
  static Float low_all(const uint16_t* p) { return _mm256_castsi256_ps(_mm256_slli_epi32(pair(p), 16)); }
  static Float high_all(const uint16_t* p) {
    return _mm256_castsi256_ps(_mm256_and_si256(pair(p), _mm256_set1_epi32(static_cast<int>(0xffff0000))));
  }
};

}  // namespace

const Bf16Kernels kBf16Avx2{.matmul = Bf16Fma<Bf16Avx2>::matmul,
                            .decode = Bf16Decode<Bf16Avx2>::decode,
                            .round = round_to_bf16<Bf16Avx2>,
                            .gelu_erf = nullptr,
                            .attend = nullptr,
                            .attend_bytes = nullptr,
                            .spin = nullptr,
                            .flops_per_round = 0};

}  // namespace mlxe
