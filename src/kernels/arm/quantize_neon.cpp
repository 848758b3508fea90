// quantize_table.h with NEON: four floats a register.
#include <arm_neon.h>

#include "kernels/generic/quantize_body.h"

namespace mlxe {
namespace {

struct Neon {
  static constexpr size_t kLanes = 4;
  using Float = float32x4_t;
  using Int = uint32x4_t;

  static Float set(float x) { return vdupq_n_f32(x); }
  static Int set(int x) { return vreinterpretq_u32_s32(vdupq_n_s32(x)); }
  static Float as_float(Int x) { return vreinterpretq_f32_u32(x); }
  static Int as_int(Float x) { return vreinterpretq_u32_f32(x); }

  // Reads and writes bytes, so that memory need not be aligned.
  static uint8x16_t load_all(const void* in) { return vld1q_u8(static_cast<const uint8_t*>(in)); }
  static uint8x8_t load_half(const void* in) { return vld1_u8(static_cast<const uint8_t*>(in)); }
  static uint8x8_t load_quarter(const void* in) {
    uint32_t four;
    copy<4>(in, &four);
    return vcreate_u8(four);
  }
  static Float load(const void* in) { return vreinterpretq_f32_u8(load_all(in)); }
  static Float load_f16(const void* in) { return vcvt_f32_f16(vreinterpret_f16_u8(load_half(in))); }
  static Float load_f64(const void* in) {
    const auto* from = static_cast<const uint8_t*>(in);
    const float32x2_t low = vcvt_f32_f64(vreinterpretq_f64_u8(load_all(from)));
    return vcvt_high_f32_f64(low, vreinterpretq_f64_u8(load_all(from + 16)));
  }
  static Int load_u16(const void* in) { return vmovl_u16(vreinterpret_u16_u8(load_half(in))); }
  static Int load_u8(const void* in) { return vmovl_u16(vget_low_u16(vmovl_u8(load_quarter(in)))); }
  static Int load_i8(const void* in) {
    const int16x8_t words = vmovl_s8(vreinterpret_s8_u8(load_quarter(in)));
    return vreinterpretq_u32_s32(vmovl_s16(vget_low_s16(words)));
  }

  static void store(Float x, void* out) { vst1q_u8(static_cast<uint8_t*>(out), vreinterpretq_u8_f32(x)); }
  static void store_f16(Float x, void* out) {
    vst1_u8(static_cast<uint8_t*>(out), vreinterpret_u8_f16(vcvt_f16_f32(x)));
  }
  static void store_u16(Int x, void* out) {  // each lane below 2^16
    vst1_u8(static_cast<uint8_t*>(out), vreinterpret_u8_u16(vmovn_u32(x)));
  }
  static void store_bytes(Int x, void* out) {  // the low byte of each lane
    const uint16x4_t words = vmovn_u32(x);
    const uint8x8_t bytes = vmovn_u16(vcombine_u16(words, words));
    copy<4>(&bytes, out);
  }

  static Float add(Float a, Float b) { return vaddq_f32(a, b); }
  static Float sub(Float a, Float b) { return vsubq_f32(a, b); }
  static Float mul(Float a, Float b) { return vmulq_f32(a, b); }
  static Float div(Float a, Float b) { return vdivq_f32(a, b); }
  static Float min(Float a, Float b) { return vminq_f32(a, b); }
  static Float max(Float a, Float b) { return vmaxq_f32(a, b); }
  static Float abs(Float a) { return vabsq_f32(a); }
  static Float rint(Float a) { return vrndnq_f32(a); }
  static Int to_int(Float a) { return vreinterpretq_u32_s32(vcvtnq_s32_f32(a)); }
  static Float to_float(Int a) { return vcvtq_f32_s32(vreinterpretq_s32_u32(a)); }

  static Int add(Int a, Int b) { return vaddq_u32(a, b); }
  static Int bit_and(Int a, Int b) { return vandq_u32(a, b); }
  static Int bit_or(Int a, Int b) { return vorrq_u32(a, b); }
  template <int count>
  static Int shift_left(Int a) {
    return vshlq_n_u32(a, count);
  }
  template <int count>
  static Int shift_right(Int a) {
    return vshrq_n_u32(a, count);
  }

  static Int count_above(Int count, Float a, Float b) { return vsubq_u32(count, vcgtq_f32(a, b)); }
  static Float zero_unless_above(Float x, Float a, Float b) {
    return as_float(bit_and(as_int(x), vcgtq_f32(a, b)));
  }
  static Int select_above(Float a, Float b, Int yes, Int no) { return vbslq_u32(vcgtq_f32(a, b), yes, no); }
  static Int select_nan(Float a, Int yes, Int no) { return vbslq_u32(vceqq_f32(a, a), no, yes); }
  static unsigned not_finite(Float a) {
    const Int exponent = set(0x7f800000);
    const Int all_ones = vceqq_u32(bit_and(as_int(a), exponent), exponent);
    const uint32_t lanes[kLanes] = {1, 2, 4, 8};
    return vaddvq_u32(bit_and(all_ones, vld1q_u32(lanes)));
  }
  static Float look_up(const float* eight, Int index) {
    const uint8x16x2_t table{{load_all(eight), load_all(eight + 4)}};
    // Each lane gets the four bytes of entry `index`.
    const Int bytes = vmlaq_u32(set(0x03020100), index, set(0x04040404));
    return vreinterpretq_f32_u8(vqtbl2q_u8(table, vreinterpretq_u8_u32(bytes)));
  }
};

}  // namespace

const QuantizeKernels kQuantizeNeon = QuantizeBody<Neon>::table();

}  // namespace mlxe
