// int8_table.h with NEON, over a wrapper `D` of the instructions that multiply:
//   kRegisters   registers that the integer sums of one row and four columns take
//   sums<rows, vectors>(...)  those sums over one group, for `rows` rows and 4 * `vectors` columns
// A tile keeps sixteen registers of them: eight rows by eight columns, or fewer rows by more columns. The
// sums are exact and everything after them is the same for each row, so that no result depends on its tile.
#pragma once

#include "kernels/arm/int8_rows_neon.h"

namespace mlxe {
namespace {

constexpr int kSumRegisters = 16;

// One group of one tile, in integers. `a` and `codes` are the group's first.
struct GroupCodes {
  const int8_t* a;
  ptrdiff_t ld;
  const uint8_t* codes;
  int group;
  const float* terms;  // {scale, sum} of row 0
  ptrdiff_t ld_terms;
};

template <class D, int rows, int vectors>
__attribute__((noinline)) void tile(const Int8Rows& x, const Int8Weights& w, int64_t groups, int group,
                                    int64_t first, const float* from, ptrdiff_t ld_from, float* y,
                                    ptrdiff_t ld_y, int64_t columns) {
  float32x4_t total[rows][vectors];
#pragma GCC unroll 8
  for (int m = 0; m < rows; ++m)
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) total[m][v] = vdupq_n_f32(0);
  for (int64_t g = 0; g < groups; ++g) {
    const float* terms = x.groups + 2 * g;
    int32x4_t sums[rows][vectors];
    D::template sums<rows, vectors>(
        {x.codes + g * group, x.ld, w.codes + (g * group * kInt8Panel + first * 4), group, terms,
         x.ld_groups},
        sums);
    const int64_t at = g * kInt8Panel + first;
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) {
      const float32x4_t scales = vld1q_f32(w.scales + at + 4 * v), biases = vld1q_f32(w.biases + at + 4 * v);
#pragma GCC unroll 8
      for (int m = 0; m < rows; ++m) {
        const float* a = terms + m * x.ld_groups;
        const float32x4_t bias = vmulq_n_f32(biases, a[1]);
        const float32x4_t value = vfmaq_f32(bias, vcvtq_f32_s32(sums[m][v]), scales);
        total[m][v] = vfmaq_n_f32(total[m][v], value, a[0]);
      }
    }
  }
#pragma GCC unroll 8
  for (int m = 0; m < rows; ++m)
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) {
      const int64_t n = first + 4 * v, left = columns - n;
      const float* z = from + m * ld_from + n;
      float* out = y + m * ld_y + n;
      if (left >= 4)
        vst1q_f32(out, vaddq_f32(vld1q_f32(z), total[m][v]));
      else if (left > 0)
        Neon::store_some(vaddq_f32(Neon::load_some(z, left), total[m][v]), out, left);
    }
}

constexpr int vectors_of(int registers) {
  int vectors = kInt8Panel / 4;
  while (vectors * registers > kSumRegisters) vectors /= 2;
  return vectors;
}

template <class D, int rows = D::kRows>
void tile_of(int64_t count, const Int8Rows& x, const Int8Weights& w, int64_t groups, int group,
             const float* from, ptrdiff_t ld_from, float* y, ptrdiff_t ld_y, int64_t columns) {
  if constexpr (rows > 0) {
    if (count < rows)
      return tile_of<D, rows - 1>(count, x, w, groups, group, from, ld_from, y, ld_y, columns);
    constexpr int vectors = vectors_of(rows * D::kRegisters);
    for (int64_t first = 0; first < columns; first += 4 * vectors)
      tile<D, rows, vectors>(x, w, groups, group, first, from, ld_from, y, ld_y, columns);
  }
}

template <class D>
void matmul(const Int8Rows& x, int64_t rows, const Int8Weights& w, int64_t groups, int group,
            const float* from, ptrdiff_t ld_from, float* y, ptrdiff_t ld_y, int64_t columns,
            const ReadAhead&) {
  const int64_t tiles = (rows + D::kRows - 1) / D::kRows;
  int64_t done = 0;
  for (int64_t t = 0; t < tiles; ++t) {
    const int64_t count = (rows - done + tiles - t - 1) / (tiles - t);  // tiles of nearly equal height
    tile_of<D>(count, {x.codes + done * x.ld, x.ld, x.groups + done * x.ld_groups, x.ld_groups}, w, groups,
               group, from + done * ld_from, ld_from, y + done * ld_y, ld_y, columns);
    done += count;
  }
}

// D::add is the instruction (or few) of the tile, D::kProducts of how many products.
constexpr int kChains = 16;

template <class D>
float spin(int64_t rounds) {
  int32x4_t sums[kChains];
#pragma GCC unroll 16
  for (int i = 0; i < kChains; ++i) sums[i] = vdupq_n_s32(0);
  int8x16_t one = vdupq_n_s8(1);
  for (int64_t r = 0; r < rounds; ++r)
#pragma GCC unroll 16
    for (int i = 0; i < kChains; ++i) {
      asm("" : "+w"(one));  // or products, always the same, would leave the loop
      sums[i] = D::add(sums[i], one);
    }
  int32x4_t total = sums[0];
#pragma GCC unroll 16
  for (int i = 1; i < kChains; ++i) total = vaddq_s32(total, sums[i]);
  return static_cast<float>(vaddvq_s32(total));
}

template <class D>
constexpr Int8Kernels neon_table() {
  return {.matmul = matmul<D>,
          .expand = expand,
          .quantize = quantize,
          .spin = spin<D>,
          .operations_per_round = 2 * kChains * D::kProducts};
}

// Codes are unsigned, and before i8mm there is no product of mixed signs: with the top bit flipped a code is
// signed and 128 too small, which 128 times the sum of the activations makes good, exactly.
inline int8x16_t signed_codes(const uint8_t* codes) {
  return vreinterpretq_s8_u8(veorq_u8(vld1q_u8(codes), vdupq_n_u8(128)));
}

inline int32x4_t made_good(float sum_of_activations) {
  return vshlq_n_s32(vcvtq_s32_f32(vdupq_n_f32(sum_of_activations)), 7);
}

}  // namespace
}  // namespace mlxe
