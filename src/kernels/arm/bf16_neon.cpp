// bf16_table.h with NEON.
#include "kernels/arm/neon_vector.h"
#include "kernels/generic/bf16_body.h"
#include "kernels/generic/fast_gelu.h"
#include "kernels/generic/kernels_body.h"

namespace mlxe {
namespace {

struct Bf16Neon : Neon {
  static constexpr int kBf16Rows = 8;
  using Codes = uint32x4_t;

  static Codes load_codes(const uint8_t* p) { return vreinterpretq_u32_u8(vld1q_u8(p)); }
  static Codes load_int4_codes(const uint8_t* p, bool high, const uint8_t* table) {
    const uint8x16_t x = vld1q_u8(p), half = high ? vshrq_n_u8(x, 4) : vandq_u8(x, vdupq_n_u8(15));
    return vreinterpretq_u32_u8(vqtbl1q_u8(vld1q_u8(table), half));
  }
  template <int i>
  static Float code(Codes c) {
    constexpr int kShifts[4] = {15, 7, -1, -9};
    const uint32x4_t at = vshlq_u32(c, vdupq_n_s32(kShifts[i]));
    return vreinterpretq_f32_u32(vorrq_u32(vandq_u32(at, vdupq_n_u32(0x7f8000)), vdupq_n_u32(0x43000000)));
  }
  static uint32x4_t rounded(Float x) {  // upper 16 bits: the nearest bfloat16, ties away from zero
    return vaddq_u32(vreinterpretq_u32_f32(x), vdupq_n_u32(0x8000));
  }
  static void store_pairs(Float a, Float b, uint16_t* p) {
    vst1q_u16(p, vreinterpretq_u16_u32(vsriq_n_u32(rounded(b), rounded(a), 16)));
  }
  static void store_bf16(Float x, uint16_t* p) {
    const uint32x4_t bits = vreinterpretq_u32_f32(x);
    const uint32x4_t odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
    const uint32x4_t even = vaddq_u32(vaddq_u32(bits, vdupq_n_u32(0x7fff)), odd);
    const uint32x4_t quiet = vorrq_u32(bits, vdupq_n_u32(0x400000));
    vst1_u16(p, vshrn_n_u32(vbslq_u32(vceqq_f32(x, x), even, quiet), 16));
  }
  static Float low_half(uint32x4_t pairs) { return vreinterpretq_f32_u32(vshlq_n_u32(pairs, 16)); }
  static Float high_half(uint32x4_t pairs) {
    return vreinterpretq_f32_u32(vandq_u32(pairs, vdupq_n_u32(0xffff0000)));
  }
  static uint32x4_t pairs(const uint16_t* p) { return vreinterpretq_u32_u16(vld1q_u16(p)); }
  static uint32x4_t pair(const uint16_t* p) {
    uint32_t bits;
    __builtin_memcpy(&bits, p, 4);
    return vdupq_n_u32(bits);
  }
  static Float low(const uint16_t* p) { return low_half(pairs(p)); }
  static Float high(const uint16_t* p) { return high_half(pairs(p)); }
  static Float low_all(const uint16_t* p) { return low_half(pair(p)); }
  static Float high_all(const uint16_t* p) { return high_half(pair(p)); }
};

}  // namespace

const Bf16Kernels kBf16Neon{.matmul = Bf16Fma<Bf16Neon>::matmul,
                            .decode = Bf16Decode<Bf16Neon>::decode,
                            .round = round_to_bf16<Bf16Neon>,
                            .gelu_erf = KernelsBody<Neon>::activate<fast_gelu_erf<Neon>>,
                            .attend = nullptr,
                            .attend_bytes = nullptr,
                            .spin = nullptr,
                            .flops_per_round = 0};

}  // namespace mlxe
