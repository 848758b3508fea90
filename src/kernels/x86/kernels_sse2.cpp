// table.h with SSE2, which every x86-64 has: four floats a register, 12 of the 16 registers for sums. There
// is no fused multiply-add: fma and fnma round twice.
#include <emmintrin.h>

#include "kernels/generic/kernels_body.h"

namespace mlxe {
namespace {

struct Sse2 {
  static constexpr int kLanes = 4, kRows = 6, kVectors = 2;
  using Float = __m128;

  static Float mask(int64_t n) {
    const __m128i lane = _mm_setr_epi32(0, 1, 2, 3);
    return _mm_castsi128_ps(_mm_cmpgt_epi32(_mm_set1_epi32(static_cast<int>(n)), lane));
  }
  static Float select(Float mask, Float yes, Float no) {
    return _mm_or_ps(_mm_and_ps(mask, yes), _mm_andnot_ps(mask, no));
  }

  static Float set(float x) { return _mm_set1_ps(x); }
  static Float load(const float* p) { return _mm_loadu_ps(p); }
  static Float load_some(const float* p, int64_t n) {
    float part[kLanes] = {};
    for (int64_t i = 0; i < n; ++i) part[i] = p[i];
    return load(part);
  }
  static void store(Float x, float* p) { _mm_storeu_ps(p, x); }
  static void store_some(Float x, float* p, int64_t n) {
    float part[kLanes];
    store(x, part);
    for (int64_t i = 0; i < n; ++i) p[i] = part[i];
  }
  static Float first(Float x, int64_t n) { return _mm_and_ps(x, mask(n)); }

  static Float add(Float a, Float b) { return _mm_add_ps(a, b); }
  static Float sub(Float a, Float b) { return _mm_sub_ps(a, b); }
  static Float mul(Float a, Float b) { return _mm_mul_ps(a, b); }
  static Float div(Float a, Float b) { return _mm_div_ps(a, b); }
  static Float fma(Float a, Float b, Float c) { return add(mul(a, b), c); }
  static Float fnma(Float a, Float b, Float c) { return sub(c, mul(a, b)); }
  static Float min(Float a, Float b) { return _mm_min_ps(a, b); }
  static Float max(Float a, Float b) { return _mm_max_ps(a, b); }
  static Float abs(Float a) { return _mm_andnot_ps(set(-0.0f), a); }
  static Float negate(Float a) { return _mm_xor_ps(a, set(-0.0f)); }
  static Float sqrt(Float a) { return _mm_sqrt_ps(a); }
  // For |a| < 2^31 (in exp, below 128). NaN becomes a number here; exp restores the NaN.
  static Float rint(Float a) { return _mm_cvtepi32_ps(_mm_cvtps_epi32(a)); }
  static Float times_power_of_two(Float a, Float n) {
    const __m128i biased = _mm_add_epi32(_mm_cvtps_epi32(n), _mm_set1_epi32(127));
    return mul(a, _mm_castsi128_ps(_mm_slli_epi32(biased, 23)));
  }
  static Float with_sign_of(Float a, Float sign) { return _mm_or_ps(abs(a), _mm_and_ps(sign, set(-0.0f))); }
  static Float select_above(Float a, Float b, Float yes, Float no) {
    return select(_mm_cmpgt_ps(a, b), yes, no);
  }
  static Float larger_or_nan(Float a, Float b) { return select(_mm_cmpunord_ps(a, a), a, max(a, b)); }
  static float sum(Float a) {
    a = add(a, _mm_movehl_ps(a, a));
    return _mm_cvtss_f32(_mm_add_ss(a, _mm_shuffle_ps(a, a, 1)));
  }
  static float largest(Float a) {
    a = max(a, _mm_movehl_ps(a, a));
    return _mm_cvtss_f32(_mm_max_ss(a, _mm_shuffle_ps(a, a, 1)));
  }
  static void transpose(Float (&r)[4]) { _MM_TRANSPOSE4_PS(r[0], r[1], r[2], r[3]); }
};

}  // namespace

const Kernels kKernelsSse2 = KernelsBody<Sse2>::table();

}  // namespace mlxe
