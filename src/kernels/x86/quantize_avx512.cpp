// quantize_table.h with AVX-512 F, BW, DQ, VL: sixteen floats a register.
#include <immintrin.h>

#include "kernels/generic/quantize_body.h"

namespace mlxe {
namespace {

struct Avx512 {
  static constexpr size_t kLanes = 16;
  using Float = __m512;
  using Int = __m512i;

  static Float set(float x) { return _mm512_set1_ps(x); }
  static Int set(int x) { return _mm512_set1_epi32(x); }
  static Float as_float(Int x) { return _mm512_castsi512_ps(x); }
  static Int as_int(Float x) { return _mm512_castps_si512(x); }

  static __m128i load_bytes(const void* in) { return _mm_loadu_si128(static_cast<const __m128i*>(in)); }
  static __m256i load_words(const void* in) { return _mm256_loadu_si256(static_cast<const __m256i*>(in)); }
  static Float load(const void* in) { return _mm512_loadu_ps(in); }
  static Float load_f16(const void* in) { return _mm512_cvtph_ps(load_words(in)); }
  static Float load_f64(const void* in) {
    const auto* from = static_cast<const unsigned char*>(in);
    const __m256 low = _mm512_cvtpd_ps(_mm512_loadu_pd(from));
    const __m256 high = _mm512_cvtpd_ps(_mm512_loadu_pd(from + 64));
    return _mm512_insertf32x8(_mm512_castps256_ps512(low), high, 1);
  }
  static Int load_u16(const void* in) { return _mm512_cvtepu16_epi32(load_words(in)); }
  static Int load_u8(const void* in) { return _mm512_cvtepu8_epi32(load_bytes(in)); }
  static Int load_i8(const void* in) { return _mm512_cvtepi8_epi32(load_bytes(in)); }

  static void store(Float x, void* out) { _mm512_storeu_ps(out, x); }
  static void store_f16(Float x, void* out) {
    _mm256_storeu_si256(static_cast<__m256i*>(out), _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
  }
  static void store_u16(Int x, void* out) {
    _mm256_storeu_si256(static_cast<__m256i*>(out), _mm512_cvtepi32_epi16(x));
  }
  static void store_bytes(Int x, void* out) {
    _mm_storeu_si128(static_cast<__m128i*>(out), _mm512_cvtepi32_epi8(x));
  }

  static Float add(Float a, Float b) { return _mm512_add_ps(a, b); }
  static Float sub(Float a, Float b) { return _mm512_sub_ps(a, b); }
  static Float mul(Float a, Float b) { return _mm512_mul_ps(a, b); }
  static Float div(Float a, Float b) { return _mm512_div_ps(a, b); }
  static Float min(Float a, Float b) { return _mm512_min_ps(a, b); }
  static Float max(Float a, Float b) { return _mm512_max_ps(a, b); }
  static Float abs(Float a) { return _mm512_abs_ps(a); }
  static Float rint(Float a) {
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  }
  static Int to_int(Float a) { return _mm512_cvtps_epi32(a); }
  static Float to_float(Int a) { return _mm512_cvtepi32_ps(a); }

  static Int add(Int a, Int b) { return _mm512_add_epi32(a, b); }
  static Int bit_and(Int a, Int b) { return _mm512_and_si512(a, b); }
  static Int bit_or(Int a, Int b) { return _mm512_or_si512(a, b); }
  template <int count>
  static Int shift_left(Int a) {
    return _mm512_slli_epi32(a, count);
  }
  template <int count>
  static Int shift_right(Int a) {
    return _mm512_srli_epi32(a, count);
  }

  static __mmask16 above(Float a, Float b) { return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ); }
  static Int count_above(Int count, Float a, Float b) {
    return _mm512_mask_add_epi32(count, above(a, b), count, set(1));
  }
  static Float zero_unless_above(Float x, Float a, Float b) { return _mm512_maskz_mov_ps(above(a, b), x); }
  static Int select_above(Float a, Float b, Int yes, Int no) {
    return _mm512_mask_blend_epi32(above(a, b), no, yes);
  }
  static Int select_nan(Float a, Int yes, Int no) {
    return _mm512_mask_blend_epi32(_mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q), no, yes);
  }
  static unsigned not_finite(Float a) {
    return _mm512_fpclass_ps_mask(a, 0x99);  // quiet NaN, signalling NaN, both infinities
  }
  static Float look_up(const float* eight, Int index) {
    const Float table = _mm512_castps256_ps512(_mm256_loadu_ps(eight));
    return _mm512_permutexvar_ps(index, table);
  }
};

}  // namespace

const QuantizeKernels kQuantizeAvx512 = QuantizeBody<Avx512>::table();

}  // namespace mlxe
