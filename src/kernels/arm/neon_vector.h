// The wrapper for generic/vector_math.h: four floats in a NEON register, which every AArch64 has.
#pragma once

#include <arm_neon.h>

#include <cstdint>

namespace mlxe {
namespace {

struct Neon {
  static constexpr int kLanes = 4, kRows = 8, kVectors = 3;
  using Float = float32x4_t;

  static uint32x4_t mask(int64_t n) {
    const int32_t lanes[kLanes] = {0, 1, 2, 3};
    return vcgtq_s32(vdupq_n_s32(static_cast<int32_t>(n)), vld1q_s32(lanes));
  }

  static Float set(float x) { return vdupq_n_f32(x); }
  static Float load(const float* p) { return vld1q_f32(p); }
  static Float load_some(const float* p, int64_t n) {
    float part[kLanes] = {};
    for (int64_t i = 0; i < n; ++i) part[i] = p[i];
    return load(part);
  }
  static void store(Float x, float* p) { vst1q_f32(p, x); }
  static void store_some(Float x, float* p, int64_t n) {
    float part[kLanes];
    store(x, part);
    for (int64_t i = 0; i < n; ++i) p[i] = part[i];
  }
  static Float first(Float x, int64_t n) { return vbslq_f32(mask(n), x, set(0.0f)); }

  static Float add(Float a, Float b) { return vaddq_f32(a, b); }
  static Float sub(Float a, Float b) { return vsubq_f32(a, b); }
  static Float mul(Float a, Float b) { return vmulq_f32(a, b); }
  static Float div(Float a, Float b) { return vdivq_f32(a, b); }
  static Float fma(Float a, Float b, Float c) { return vfmaq_f32(c, a, b); }
  static Float fnma(Float a, Float b, Float c) { return vfmsq_f32(c, a, b); }
  static Float min(Float a, Float b) { return vminq_f32(a, b); }  // NaN if either is NaN
  static Float max(Float a, Float b) { return vmaxq_f32(a, b); }
  static Float abs(Float a) { return vabsq_f32(a); }
  static Float negate(Float a) { return vnegq_f32(a); }
  static Float sqrt(Float a) { return vsqrtq_f32(a); }
  static Float rint(Float a) { return vrndnq_f32(a); }
  static Float times_power_of_two(Float a, Float n) {
    const int32x4_t biased = vaddq_s32(vcvtnq_s32_f32(n), vdupq_n_s32(127));
    return mul(a, vreinterpretq_f32_s32(vshlq_n_s32(biased, 23)));
  }
  static Float with_sign_of(Float a, Float sign) { return vbslq_f32(vdupq_n_u32(0x80000000u), sign, a); }
  static Float select_above(Float a, Float b, Float yes, Float no) {
    return vbslq_f32(vcgtq_f32(a, b), yes, no);
  }
  static Float larger_or_nan(Float a, Float b) { return vmaxq_f32(a, b); }
  static float sum(Float a) { return vaddvq_f32(a); }
  static float largest(Float a) { return vmaxvq_f32(a); }
  static float largest_or_nan(Float a) { return vmaxvq_f32(a); }
  // Stores whole numbers in [-128, 127] as bytes.
  static void store_codes(Float x, int8_t* p) {
    const int16x4_t words = vmovn_s32(vcvtnq_s32_f32(x));
    const int8x8_t bytes = vmovn_s16(vcombine_s16(words, words));
    __builtin_memcpy(p, &bytes, kLanes);
  }
  static void transpose(Float (&r)[4]) {
    const float32x4x2_t a = vtrnq_f32(r[0], r[1]), b = vtrnq_f32(r[2], r[3]);
    r[0] = vcombine_f32(vget_low_f32(a.val[0]), vget_low_f32(b.val[0]));
    r[1] = vcombine_f32(vget_low_f32(a.val[1]), vget_low_f32(b.val[1]));
    r[2] = vcombine_f32(vget_high_f32(a.val[0]), vget_high_f32(b.val[0]));
    r[3] = vcombine_f32(vget_high_f32(a.val[1]), vget_high_f32(b.val[1]));
  }
};

}  // namespace
}  // namespace mlxe
