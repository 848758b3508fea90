// int8_table.h with NEON, over a wrapper `D` of the multiply instructions:
//   kRegisters                registers for the integer sums of one row and four columns
//   sums<rows, vectors>(...)  these sums over one group, for `rows` rows and 4 * `vectors` columns
// A tile has sixteen registers of sums: eight rows by eight columns, or fewer rows by more columns. The
// sums are exact, and all later operations are the same for each row: no result depends on its tile.
#pragma once

#include "kernels/arm/int8_rows_neon.h"

namespace mlxe {
namespace {

constexpr int kSumRegisters = 16;

// The integer operands of one group of one tile. `a` and `codes` point to the first ones of the group.
struct GroupCodes {
  const int8_t* a;
  ptrdiff_t ld;
  const uint8_t* codes;
  int group;
  const int32_t* accumulator_start;  // of row 0
  ptrdiff_t ld_start;
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
  for (int64_t g = 0; g < groups; g += 2)
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) {
      const uint32x4_t pairs =
          vreinterpretq_u32_u16(vld1q_u16(w.biases + g * kInt8Panel + 2 * (first + 4 * v)));
      const float32x4_t even = vreinterpretq_f32_u32(vshlq_n_u32(pairs, 16)),
                        odd = vreinterpretq_f32_u32(vandq_u32(pairs, vdupq_n_u32(0xffff0000u)));
#pragma GCC unroll 8
      for (int m = 0; m < rows; ++m) {
        const uint16_t* terms = x.bias_terms + m * 2 * x.ld_groups + g;
        if (g + 1 < groups) total[m][v] = vfmaq_n_f32(total[m][v], odd, bf16_to_float(terms[1]));
        total[m][v] = vfmaq_n_f32(total[m][v], even, bf16_to_float(terms[0]));
      }
    }
  for (int64_t g = 0; g < groups; ++g) {
    int32x4_t sums[rows][vectors];
    D::template sums<rows, vectors>(
        {x.codes + g * group, x.ld, w.codes + (g * group * kInt8Panel + first * 4), group,
         x.accumulator_start + g, x.ld_groups},
        sums);
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) {
      const float32x4_t scales = vld1q_f32(w.scales + g * kInt8Panel + first + 4 * v);
#pragma GCC unroll 8
      for (int m = 0; m < rows; ++m) {
        const float32x4_t value = vmulq_n_f32(vcvtq_f32_s32(sums[m][v]), x.scales[m * x.ld_groups + g]);
        total[m][v] = vfmaq_f32(total[m][v], value, scales);
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
    const int64_t count = (rows - done + tiles - t - 1) / (tiles - t);  // tiles of similar height
    tile_of<D>(count, x.at(done, 0, group), w, groups, group, from + done * ld_from, ld_from, y + done * ld_y,
               ld_y, columns);
    done += count;
  }
}

// For the measured peak. D::add: the multiply instruction (or instructions) of the tile. D::kProducts: its
// number of products.
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
      asm("" : "+w"(one));  // keeps the compiler from moving the constant products out of the loop
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
          .matmul_int4 = nullptr,
          .expand = expand,
          .quantize = quantize,
          .spin = spin<D>,
          .operations_per_round = 2 * kChains * D::kProducts};
}

// Before i8mm there is no product of mixed signs. Flipping the top bit makes a code signed: code -
// kInt8ZeroPoint.
inline int8x16_t signed_codes(const uint8_t* codes) {
  return vreinterpretq_s8_u8(veorq_u8(vld1q_u8(codes), vdupq_n_u8(kInt8ZeroPoint)));
}

}  // namespace
}  // namespace mlxe
