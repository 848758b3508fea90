// quantize_table.h with AVX2 and F16C: eight floats a register.
#include <immintrin.h>

#include "kernels/generic/quantize_body.h"

namespace mlxe {
namespace {

struct Avx2 {
  static constexpr size_t kLanes = 8;
  using Float = __m256;
  using Int = __m256i;

  static Float set(float x) { return _mm256_set1_ps(x); }
  static Int set(int x) { return _mm256_set1_epi32(x); }
  static Float as_float(Int x) { return _mm256_castsi256_ps(x); }
  static Int as_int(Float x) { return _mm256_castps_si256(x); }

  static __m128i load_bytes(const void* in) { return _mm_loadl_epi64(static_cast<const __m128i*>(in)); }
  static __m128i load_words(const void* in) { return _mm_loadu_si128(static_cast<const __m128i*>(in)); }
  static Float load(const void* in) { return as_float(_mm256_loadu_si256(static_cast<const Int*>(in))); }
  static Float load_f16(const void* in) { return _mm256_cvtph_ps(load_words(in)); }
  static Float load_f64(const void* in) {
    const auto* from = static_cast<const __m256i*>(in);
    const __m128 low = _mm256_cvtpd_ps(_mm256_castsi256_pd(_mm256_loadu_si256(from)));
    const __m128 high = _mm256_cvtpd_ps(_mm256_castsi256_pd(_mm256_loadu_si256(from + 1)));
    return _mm256_set_m128(high, low);
  }
  static Int load_u16(const void* in) { return _mm256_cvtepu16_epi32(load_words(in)); }
  static Int load_u8(const void* in) { return _mm256_cvtepu8_epi32(load_bytes(in)); }
  static Int load_i8(const void* in) { return _mm256_cvtepi8_epi32(load_bytes(in)); }

  static void store(Float x, void* out) { _mm256_storeu_si256(static_cast<Int*>(out), as_int(x)); }
  static void store_f16(Float x, void* out) {
    _mm_storeu_si128(static_cast<__m128i*>(out), _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
  }
  static void store_u16(Int x, void* out) {  // every lane is below 2^16
    _mm_storeu_si128(static_cast<__m128i*>(out),
                     _mm_packus_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1)));
  }
  static void store_bytes(Int x, void* out) {  // the low byte of each lane
    const __m256i pick = _mm256_setr_epi8(0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 0, 4,
                                          8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1);
    const __m256i bytes = _mm256_shuffle_epi8(x, pick);
    _mm_storel_epi64(static_cast<__m128i*>(out),
                     _mm_unpacklo_epi32(_mm256_castsi256_si128(bytes), _mm256_extracti128_si256(bytes, 1)));
  }

  static Float add(Float a, Float b) { return _mm256_add_ps(a, b); }
  static Float sub(Float a, Float b) { return _mm256_sub_ps(a, b); }
  static Float mul(Float a, Float b) { return _mm256_mul_ps(a, b); }
  static Float div(Float a, Float b) { return _mm256_div_ps(a, b); }
  static Float min(Float a, Float b) { return _mm256_min_ps(a, b); }
  static Float max(Float a, Float b) { return _mm256_max_ps(a, b); }
  static Float abs(Float a) { return as_float(bit_and(as_int(a), set(0x7fffffff))); }
  static Float rint(Float a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  static Int to_int(Float a) { return _mm256_cvtps_epi32(a); }
  static Float to_float(Int a) { return _mm256_cvtepi32_ps(a); }

  static Int add(Int a, Int b) { return _mm256_add_epi32(a, b); }
  static Int bit_and(Int a, Int b) { return _mm256_and_si256(a, b); }
  static Int bit_or(Int a, Int b) { return _mm256_or_si256(a, b); }
  template <int count>
  static Int shift_left(Int a) {
    return _mm256_slli_epi32(a, count);
  }
  template <int count>
  static Int shift_right(Int a) {
    return _mm256_srli_epi32(a, count);
  }

  static Int above(Float a, Float b) { return as_int(_mm256_cmp_ps(a, b, _CMP_GT_OQ)); }
  static Int count_above(Int count, Float a, Float b) { return _mm256_sub_epi32(count, above(a, b)); }
  static Float zero_unless_above(Float x, Float a, Float b) {
    return as_float(bit_and(as_int(x), above(a, b)));
  }
  static Int select_above(Float a, Float b, Int yes, Int no) {
    return _mm256_blendv_epi8(no, yes, above(a, b));
  }
  static Int select_nan(Float a, Int yes, Int no) {
    return _mm256_blendv_epi8(no, yes, as_int(_mm256_cmp_ps(a, a, _CMP_UNORD_Q)));
  }
  static unsigned not_finite(Float a) {
    const Int exponent = set(0x7f800000);
    const Int all_ones = _mm256_cmpeq_epi32(bit_and(as_int(a), exponent), exponent);
    return static_cast<unsigned>(_mm256_movemask_ps(as_float(all_ones)));
  }
  static Float look_up(const float* eight, Int index) { return _mm256_permutevar8x32_ps(load(eight), index); }
};

}  // namespace

const QuantizeKernels kQuantizeAvx2 = QuantizeBody<Avx2>::table();

}  // namespace mlxe
