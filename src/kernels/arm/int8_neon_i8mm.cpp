// int8_table.h with the 8-bit matrix multiply: USMMLA adds four dot products of eight values (two columns
// by two rows), twice the work of USDOT. A single row uses USDOT. Both multiply unsigned codes by signed
// activations.
#include "kernels/arm/int8_neon_tile.h"

namespace mlxe {
namespace {

struct Usmmla {
  static constexpr int kRows = 8, kRegisters = 1, kProducts = 32;

  static int32x4_t add(int32x4_t sum, int8x16_t x) { return vusmmlaq_s32(sum, vreinterpretq_u8_s8(x), x); }

  template <int rows, int vectors>
  static inline __attribute__((always_inline)) void sums(const GroupCodes& x,
                                                         int32x4_t (&sums)[rows][vectors]) {
    if constexpr (rows == 1)
      dots(x, sums);
    else
      products(x, sums);
  }

 private:
  template <int vectors>
  static inline __attribute__((always_inline)) void dots(const GroupCodes& x, int32x4_t (&sums)[1][vectors]) {
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) sums[0][v] = vdupq_n_s32(x.accumulator_start[0]);
    for (int k = 0; k < x.group; k += 8) {
      const int8x8_t a = vld1_s8(x.a + k);
      const uint8_t* codes = x.codes + k * kInt8Panel;
#pragma GCC unroll 8
      for (int v = 0; v < vectors; ++v) {
        sums[0][v] = vusdotq_lane_s32(sums[0][v], vld1q_u8(codes + 16 * v), a, 0);
        sums[0][v] = vusdotq_lane_s32(sums[0][v], vld1q_u8(codes + 4 * kInt8Panel + 16 * v), a, 1);
      }
    }
  }

  // Rows are multiplied in pairs. An odd last row is paired with itself.
  template <int rows, int vectors>
  static inline __attribute__((always_inline)) void products(const GroupCodes& x,
                                                             int32x4_t (&sums)[rows][vectors]) {
    constexpr int pairs = (rows + 1) / 2;
    // left:  {column 0 row 0, column 0 row 1, column 1 row 0, column 1 row 1}
    // right: the same of columns 2 and 3
    int32x4_t left[pairs][vectors], right[pairs][vectors];
#pragma GCC unroll 8
    for (int p = 0; p < pairs; ++p)
#pragma GCC unroll 8
      for (int v = 0; v < vectors; ++v) left[p][v] = right[p][v] = vdupq_n_s32(0);
    for (int k = 0; k < x.group; k += 8) {
      int8x16_t a[pairs];
#pragma GCC unroll 8
      for (int p = 0; p < pairs; ++p) {
        const int8_t* row = x.a + 2 * p * x.ld + k;
        a[p] = vcombine_s8(vld1_s8(row), vld1_s8(2 * p + 1 < rows ? row + x.ld : row));
      }
      const uint8_t* codes = x.codes + k * kInt8Panel;
#pragma GCC unroll 8
      for (int v = 0; v < vectors; ++v) {
        // Rearranges two blocks of 4 columns x 4 values of k into two blocks of 2 columns x 8 values.
        const uint32x4_t w0 = vreinterpretq_u32_u8(vld1q_u8(codes + 16 * v)),
                         w1 = vreinterpretq_u32_u8(vld1q_u8(codes + 4 * kInt8Panel + 16 * v));
        const uint8x16_t w_left = vreinterpretq_u8_u32(vzip1q_u32(w0, w1)),
                         w_right = vreinterpretq_u8_u32(vzip2q_u32(w0, w1));
#pragma GCC unroll 8
        for (int p = 0; p < pairs; ++p) {
          left[p][v] = vusmmlaq_s32(left[p][v], w_left, a[p]);
          right[p][v] = vusmmlaq_s32(right[p][v], w_right, a[p]);
        }
      }
    }
#pragma GCC unroll 8
    for (int p = 0; p < pairs; ++p)
#pragma GCC unroll 8
      for (int v = 0; v < vectors; ++v) {
        const int32_t* starts = x.accumulator_start + 2 * p * x.ld_start;
        sums[2 * p][v] = vaddq_s32(vuzp1q_s32(left[p][v], right[p][v]), vdupq_n_s32(starts[0]));
        if (2 * p + 1 < rows)
          sums[2 * p + 1][v] =
              vaddq_s32(vuzp2q_s32(left[p][v], right[p][v]), vdupq_n_s32(starts[x.ld_start]));
      }
  }
};

}  // namespace

const Int8Kernels kInt8NeonI8mm = neon_table<Usmmla>();

}  // namespace mlxe
