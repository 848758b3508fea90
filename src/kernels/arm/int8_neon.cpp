// int8_table.h with the instructions of every AArch64. The sum of two products of signed codes and
// activations fits 16 bits (2 * 128 * 127 = 32512); neighbours are then added to 32-bit sums.
#include "kernels/arm/int8_neon_tile.h"

namespace mlxe {
namespace {

struct Multiply {
  static constexpr int kRows = 4, kRegisters = 2, kProducts = 16;

  static int32x4_t add(int32x4_t sum, int8x16_t x) {
    return vpadalq_s16(sum,
                       vmlal_s8(vmull_s8(vget_low_s8(x), vget_low_s8(x)), vget_high_s8(x), vget_high_s8(x)));
  }

  template <int rows, int vectors>
  static inline __attribute__((always_inline)) void sums(const GroupCodes& x,
                                                         int32x4_t (&sums)[rows][vectors]) {
    int32x4_t low[rows][vectors], high[rows][vectors];  // columns 0, 1 and columns 2, 3; two sums a column
#pragma GCC unroll 8
    for (int m = 0; m < rows; ++m)
#pragma GCC unroll 8
      for (int v = 0; v < vectors; ++v) low[m][v] = high[m][v] = vdupq_n_s32(0);
    for (int k = 0; k < x.group; k += 8) {
      const uint8_t* codes = x.codes + k * kInt8Panel;
#pragma GCC unroll 8
      for (int v = 0; v < vectors; ++v) {
        const int8x16_t w0 = signed_codes(codes + 16 * v), w1 = signed_codes(codes + 4 * kInt8Panel + 16 * v);
#pragma GCC unroll 8
        for (int m = 0; m < rows; ++m) {
          const int32x2_t eight = vreinterpret_s32_s8(vld1_s8(x.a + m * x.ld + k));
          const int8x8_t a0 = vreinterpret_s8_s32(vdup_lane_s32(eight, 0)),
                         a1 = vreinterpret_s8_s32(vdup_lane_s32(eight, 1));
          low[m][v] = vpadalq_s16(low[m][v], vmlal_s8(vmull_s8(vget_low_s8(w0), a0), vget_low_s8(w1), a1));
          high[m][v] =
              vpadalq_s16(high[m][v], vmlal_s8(vmull_s8(vget_high_s8(w0), a0), vget_high_s8(w1), a1));
        }
      }
    }
#pragma GCC unroll 8
    for (int m = 0; m < rows; ++m)
#pragma GCC unroll 8
      for (int v = 0; v < vectors; ++v) sums[m][v] = vpaddq_s32(low[m][v], high[m][v]);
  }
};

}  // namespace

const Int8Kernels kInt8Neon = neon_table<Multiply>();

}  // namespace mlxe
