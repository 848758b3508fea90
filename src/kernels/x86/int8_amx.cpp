// int8_table.h with AMX: tdpbsud multiplies a tile of 16 rows of activations with one of 16 columns of codes,
// a whole group deep, in 16 cycles. What remains is scaling its 16 x 16 integer sums, the same operations in
// the same order as the VNNI kernel's, to the bit; small row counts go there.
#include "kernels/generic/int8_body.h"
#include "kernels/x86/avx512_vector.h"
#include "kernels/x86/int8_expand_avx512.h"
#include "kernels/x86/int8_vnni_tile.h"

namespace mlxe {
namespace {

constexpr int kRows = 16;
constexpr int kFewRows = 5;  // fewer than this many: VNNI

// Registers: activations and sums of 16 rows (1; 0, 2), of the rows left over (4; 3), codes (6, 7).
struct alignas(64) TileConfig {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};

  TileConfig(int group, int64_t left_over) {
    const auto set = [this](int tile, int64_t count, int bytes) {
      rows[tile] = static_cast<uint8_t>(count);
      row_bytes[tile] = static_cast<uint16_t>(bytes);
    };
    set(0, kRows, 64);
    set(1, kRows, group);
    set(2, kRows, 64);
    set(3, left_over, 64);
    set(4, left_over, group);
    set(6, group / 4, 64);
    set(7, group / 4, 64);
  }
};

// 16 integer sums of `rows` rows, scaled and added to the float sums.
template <int rows>
inline __attribute__((always_inline)) void add(const int32_t (&sums)[kRows * 16], const float* scales,
                                               const float* biases, const float* terms, ptrdiff_t ld_terms,
                                               __m512 (&total)[rows]) {
  const __m512i magic = _mm512_castps_si512(_mm512_set1_ps(kMagic));
  const __m512 s = _mm512_loadu_ps(scales), b = _mm512_loadu_ps(biases);
  const __m512 shift = _mm512_mul_ps(s, _mm512_set1_ps(-kMagic));
#pragma GCC unroll 16
  for (int m = 0; m < rows; ++m) {
    const __m512 bias = _mm512_fmadd_ps(b, _mm512_set1_ps(terms[m * ld_terms + 1]), shift);
    const __m512 sum = _mm512_castsi512_ps(_mm512_add_epi32(_mm512_load_si512(sums + m * 16), magic));
    total[m] = _mm512_fmadd_ps(_mm512_fmadd_ps(sum, s, bias), _mm512_set1_ps(terms[m * ld_terms]), total[m]);
  }
}

void store(const __m512* total, int64_t rows, const float* from, ptrdiff_t ld_from, float* y, ptrdiff_t ld_y,
           __mmask16 mask) {
  for (int64_t m = 0; m < rows; ++m)
    _mm512_mask_storeu_ps(y + m * ld_y, mask,
                          _mm512_add_ps(_mm512_maskz_loadu_ps(mask, from + m * ld_from), total[m]));
}

// 16 rows x 16 columns.
void full(const Int8Rows& x, const uint8_t* codes, const float* scales, const float* biases, int64_t groups,
          int group, const float* from, ptrdiff_t ld_from, float* y, ptrdiff_t ld_y, __mmask16 mask) {
  alignas(64) int32_t even[kRows * 16], odd[kRows * 16];
  __m512 total[kRows];
#pragma GCC unroll 16
  for (int m = 0; m < kRows; ++m) total[m] = _mm512_setzero_ps();
  const int64_t step = static_cast<int64_t>(group) * kInt8Panel;
  int64_t g = 0;
  for (; g + 2 <= groups; g += 2) {
    _tile_zero(0);
    _tile_loadd(1, x.codes + g * group, x.ld);
    _tile_loadd(6, codes + g * step, 4 * kInt8Panel);
    _tile_dpbsud(0, 1, 6);
    _tile_stored(0, even, 64);
    _tile_zero(2);
    _tile_loadd(1, x.codes + (g + 1) * group, x.ld);
    _tile_loadd(7, codes + (g + 1) * step, 4 * kInt8Panel);
    _tile_dpbsud(2, 1, 7);
    _tile_stored(2, odd, 64);
    add(even, scales + g * kInt8Panel, biases + g * kInt8Panel, x.groups + 2 * g, x.ld_groups, total);
    add(odd, scales + (g + 1) * kInt8Panel, biases + (g + 1) * kInt8Panel, x.groups + 2 * g + 2, x.ld_groups,
        total);
  }
  if (g < groups) {
    _tile_zero(0);
    _tile_loadd(1, x.codes + g * group, x.ld);
    _tile_loadd(6, codes + g * step, 4 * kInt8Panel);
    _tile_dpbsud(0, 1, 6);
    _tile_stored(0, even, 64);
    add(even, scales + g * kInt8Panel, biases + g * kInt8Panel, x.groups + 2 * g, x.ld_groups, total);
  }
  store(total, kRows, from, ld_from, y, ld_y, mask);
}

// The rows left over x 16 columns.
void rest(const Int8Rows& x, int64_t rows, const uint8_t* codes, const float* scales, const float* biases,
          int64_t groups, int group, const float* from, ptrdiff_t ld_from, float* y, ptrdiff_t ld_y,
          __mmask16 mask) {
  alignas(64) int32_t sums[kRows * 16];
  __m512 total[kRows];
  for (__m512& t : total) t = _mm512_setzero_ps();
  const int64_t step = static_cast<int64_t>(group) * kInt8Panel;
  const __m512i magic = _mm512_castps_si512(_mm512_set1_ps(kMagic));
  for (int64_t g = 0; g < groups; ++g) {
    _tile_zero(3);
    _tile_loadd(4, x.codes + g * group, x.ld);
    _tile_loadd(6, codes + g * step, 4 * kInt8Panel);
    _tile_dpbsud(3, 4, 6);
    _tile_stored(3, sums, 64);
    const __m512 s = _mm512_loadu_ps(scales + g * kInt8Panel), b = _mm512_loadu_ps(biases + g * kInt8Panel);
    const __m512 shift = _mm512_mul_ps(s, _mm512_set1_ps(-kMagic));
    const float* terms = x.groups + 2 * g;
    for (int64_t m = 0; m < rows; ++m, terms += x.ld_groups) {
      const __m512 bias = _mm512_fmadd_ps(b, _mm512_set1_ps(terms[1]), shift);
      const __m512 sum = _mm512_castsi512_ps(_mm512_add_epi32(_mm512_load_si512(sums + m * 16), magic));
      total[m] = _mm512_fmadd_ps(_mm512_fmadd_ps(sum, s, bias), _mm512_set1_ps(terms[0]), total[m]);
    }
  }
  store(total, rows, from, ld_from, y, ld_y, mask);
}

void matmul(const Int8Rows& x, int64_t rows, const Int8Weights& w, int64_t groups, int group,
            const float* from, ptrdiff_t ld_from, float* y, ptrdiff_t ld_y, int64_t columns,
            const uint8_t* next) {
  const int64_t whole = rows / kRows * kRows, left_over = rows - whole;
  if (whole == 0 && left_over < kFewRows)
    return vnni_matmul(x, rows, w, groups, group, from, ld_from, y, ld_y, columns, next);
  const TileConfig config(group, left_over > 0 ? left_over : kRows);
  _tile_loadconfig(&config);
  for (int64_t m = 0; m < rows; m += kRows) {
    const Int8Rows part{x.codes + m * x.ld, x.ld, x.groups + m * x.ld_groups, x.ld_groups};
    for (int n = 0; n < columns; n += 16) {
      const auto mask = static_cast<__mmask16>(columns - n >= 16 ? 0xffff : (1u << (columns - n)) - 1);
      const float* z = from + m * ld_from + n;
      float* out = y + m * ld_y + n;
      if (m < whole)
        full(part, w.codes + n * 4, w.scales + n, w.biases + n, groups, group, z, ld_from, out, ld_y, mask);
      else
        rest(part, left_over, w.codes + n * 4, w.scales + n, w.biases + n, groups, group, z, ld_from, out,
             ld_y, mask);
    }
  }
  _tile_release();
}

}  // namespace

const Int8Kernels kInt8Amx{.matmul = matmul, .expand = expand, .quantize = Int8Quantize<Avx512>::quantize};

}  // namespace mlxe
