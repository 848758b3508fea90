// Avx512: the wrapper for vector_math.h. Included only by files compiled for these instructions.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace mlxe {
namespace {

struct Avx512 {
  static constexpr int kLanes = 16, kRows = 12, kVectors = 2;
  using Float = __m512;

  static __mmask16 mask(int64_t n) { return static_cast<__mmask16>((1u << n) - 1); }

  static Float set(float x) { return _mm512_set1_ps(x); }
  static Float load(const float* p) { return _mm512_loadu_ps(p); }
  static Float load_some(const float* p, int64_t n) { return _mm512_maskz_loadu_ps(mask(n), p); }
  static void store(Float x, float* p) { _mm512_storeu_ps(p, x); }
  static void store_some(Float x, float* p, int64_t n) { _mm512_mask_storeu_ps(p, mask(n), x); }
  static Float first(Float x, int64_t n) { return _mm512_maskz_mov_ps(mask(n), x); }

  static Float add(Float a, Float b) { return _mm512_add_ps(a, b); }
  static Float sub(Float a, Float b) { return _mm512_sub_ps(a, b); }
  static Float mul(Float a, Float b) { return _mm512_mul_ps(a, b); }
  static Float div(Float a, Float b) { return _mm512_div_ps(a, b); }
  static Float fma(Float a, Float b, Float c) { return _mm512_fmadd_ps(a, b, c); }
  static Float fnma(Float a, Float b, Float c) { return _mm512_fnmadd_ps(a, b, c); }
  static Float min(Float a, Float b) { return _mm512_min_ps(a, b); }
  static Float max(Float a, Float b) { return _mm512_max_ps(a, b); }
  static Float abs(Float a) { return _mm512_abs_ps(a); }
  static Float negate(Float a) { return _mm512_xor_ps(a, set(-0.0f)); }
  static Float sqrt(Float a) { return _mm512_sqrt_ps(a); }
  static Float rint(Float a) {
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  }
  static Float times_power_of_two(Float a, Float n) { return _mm512_scalef_ps(a, n); }
  static Float with_sign_of(Float a, Float sign) {
    return _mm512_or_ps(abs(a), _mm512_and_ps(sign, set(-0.0f)));
  }
  static Float select_above(Float a, Float b, Float yes, Float no) {
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_GT_OQ), no, yes);
  }
  static Float larger_or_nan(Float a, Float b) {
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q), max(a, b), a);
  }
  static float sum(Float a) { return _mm512_reduce_add_ps(a); }
  static float largest(Float a) { return _mm512_reduce_max_ps(a); }

  static float largest_or_nan(Float a) {
    return _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q) ? __builtin_nanf("") : largest(a);
  }
  // Stores whole numbers in [-128, 127] as bytes.
  static void store_codes(Float x, int8_t* p) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(x)));
  }

  // Exchanges pairs of lanes, quadruples of lanes, then blocks of four lanes between registers.
  static void transpose(Float (&r)[16]) {
    Float t[16];
#pragma GCC unroll 8
    for (int i = 0; i < 16; i += 2) {
      t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
      t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 16; i += 4) {
      r[i] = _mm512_shuffle_ps(t[i], t[i + 2], 0x44);
      r[i + 1] = _mm512_shuffle_ps(t[i], t[i + 2], 0xee);
      r[i + 2] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0x44);
      r[i + 3] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      t[i] = _mm512_shuffle_f32x4(r[i], r[i + 4], 0x88);
      t[i + 4] = _mm512_shuffle_f32x4(r[i], r[i + 4], 0xdd);
      t[i + 8] = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0x88);
      t[i + 12] = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0xdd);
    }
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
      r[i] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0x88);
      r[i + 8] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0xdd);
    }
  }
};

}  // namespace
}  // namespace mlxe
