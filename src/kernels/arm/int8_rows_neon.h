// The kernels of int8_table.h other than the matrix product, for all ARM variants.
#pragma once

#include "kernels/arm/neon_vector.h"
#include "kernels/generic/int8_body.h"

namespace mlxe {
namespace {

void expand(const uint8_t* packed, int64_t count, const uint8_t* table, uint8_t* codes) {
  const uint8x16_t values = vld1q_u8(table), low = vdupq_n_u8(15);
  for (int64_t i = 0; i < count / 2; i += 16) {
    const uint8x16_t x = vld1q_u8(packed + i);
    uint8_t* out = codes + i / 64 * 128 + i % 64;
    vst1q_u8(out, vqtbl1q_u8(values, vandq_u8(x, low)));
    vst1q_u8(out + 64, vqtbl1q_u8(values, vshrq_n_u8(x, 4)));
  }
}

// Quantizes 16 values at a time in each whole 64. The rest of a row uses the general form, with the same
// result.
void quantize_row(const float* x, int64_t n, int group, int8_t* codes, const Int8Groups& groups) {
  int64_t i = 0, g = 0;
  for (; i < n / kInt8Alignment * kInt8Alignment; i += group, ++g) {
    float32x4_t most = vdupq_n_f32(0);  // vmaxq keeps a NaN of either operand
    for (int64_t j = i; j < i + group; j += 16) {
      const float32x4_t a = vmaxq_f32(vabsq_f32(vld1q_f32(x + j)), vabsq_f32(vld1q_f32(x + j + 4)));
      const float32x4_t b = vmaxq_f32(vabsq_f32(vld1q_f32(x + j + 8)), vabsq_f32(vld1q_f32(x + j + 12)));
      most = vmaxq_f32(most, vmaxq_f32(a, b));
    }
    const float largest = vmaxvq_f32(most);
    const float inverse = largest > 1e-30f ? 127 / largest : 0;  // 0 for NaN and infinity
    int32_t sum = 0;
    for (int64_t j = i; j < i + group; j += 16) {
      const auto eight = [&](int64_t at) __attribute__((always_inline)) {
        const int32x4_t low = vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(x + at), inverse)),
                        high = vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(x + at + 4), inverse));
        return vcombine_s16(vmovn_s32(low), vmovn_s32(high));
      };
      const int16x8_t low = eight(j), high = eight(j + 8);
      vst1q_s8(codes + j, vcombine_s8(vmovn_s16(low), vmovn_s16(high)));
      sum += vaddvq_s16(vaddq_s16(low, high));
    }
    describe_group(groups, g, largest, sum);
  }
  if (i < n) Int8Quantize<Neon>::quantize_row(x + i, n - i, group, codes + i, groups.past(g));
}

void quantize(const float* x, ptrdiff_t ld_x, int64_t rows, int64_t n, int group, int8_t* codes,
              ptrdiff_t ld_codes, const Int8Groups& groups, ptrdiff_t ld_groups) {
  for (int64_t m = 0; m < rows; ++m)
    quantize_row(x + m * ld_x, n, group, codes + m * ld_codes, groups.further(m * ld_groups));
}

}  // namespace
}  // namespace mlxe
