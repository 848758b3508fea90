// int8_table.h with SDOT, which adds four products of signed codes and activations to each of four 32-bit
// sums.
#include "kernels/arm/int8_neon_tile.h"

namespace mlxe {
namespace {

struct Sdot {
  static constexpr int kRows = 8, kRegisters = 1, kProducts = 16;

  static int32x4_t add(int32x4_t sum, int8x16_t x) { return vdotq_s32(sum, x, x); }

  template <int rows, int vectors>
  static inline __attribute__((always_inline)) void sums(const GroupCodes& x,
                                                         int32x4_t (&sums)[rows][vectors]) {
#pragma GCC unroll 8
    for (int m = 0; m < rows; ++m)
#pragma GCC unroll 8
      for (int v = 0; v < vectors; ++v) sums[m][v] = vdupq_n_s32(0);
    for (int k = 0; k < x.group; k += 16) {
      int8x16_t a[rows];
#pragma GCC unroll 8
      for (int m = 0; m < rows; ++m) a[m] = vld1q_s8(x.a + m * x.ld + k);
      const uint8_t* codes = x.codes + k * kInt8Panel;
      quad<0>(codes, a, sums);
      quad<1>(codes, a, sums);
      quad<2>(codes, a, sums);
      quad<3>(codes, a, sums);
    }
  }

 private:
  template <int i, int rows, int vectors>
  static inline __attribute__((always_inline)) void quad(const uint8_t* codes, const int8x16_t (&a)[rows],
                                                         int32x4_t (&sums)[rows][vectors]) {
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) {
      const int8x16_t w = signed_codes(codes + i * 4 * kInt8Panel + 16 * v);
#pragma GCC unroll 8
      for (int m = 0; m < rows; ++m) sums[m][v] = vdotq_laneq_s32(sums[m][v], w, a[m], i);
    }
  }
};

}  // namespace

const Int8Kernels kInt8NeonDotprod = neon_table<Sdot>();

}  // namespace mlxe
