// int8_table.h with AMX: tdpbsud multiplies a tile of 16 rows of activations by a tile of 16 columns of
// codes, a whole group deep, in 16 cycles. The 16 x 16 integer sums are then scaled, with the same
// operations in the same order as in the VNNI kernel, which computes small row counts: the bits are the
// same.
#include "kernels/x86/amx_config.h"
#include "kernels/x86/int8_rows_avx512.h"
#include "kernels/x86/int8_vnni_tile.h"

namespace mlxe {
namespace {

constexpr int64_t kRows = 16;
constexpr int kFewRows = 5;  // fewer rows use VNNI

// Number of groups whose integer sums are computed before any is scaled. Tile and vector instructions
// hardly overlap, and reading sums right after they were stored would stall.
constexpr int kGroups = 4;

// Tile registers: sums of even groups (0, 1) and of odd groups (5, 6), activations (2), codes (3, 4).
void configure(int group, int64_t rows) {
  TileConfig config;
  config.set(0, rows, 64);
  config.set(1, rows, 64);
  config.set(5, rows, 64);
  config.set(6, rows, 64);
  config.set(2, rows, group);
  config.set(3, group / 4, 64);
  config.set(4, group / 4, 64);
  _tile_loadconfig(&config);
}

using Sums = int32_t[kGroups][2][kRows * 16];  // the second index is the half of the panel

// The cache lines to prefetch during each tile product.
struct Fetch {
  const uint8_t* next;
  int64_t lines;
};

// Computes the integer sums of the configured rows. The sums of a group are stored while the next group's
// products run: storing them at once would wait for their own products.
void multiply(const int8_t* x, ptrdiff_t ld, const uint8_t* codes, int64_t groups, int group, Sums& sums,
              Fetch& ahead) {
  for (int64_t g = 0; g < groups; ++g, x += group, codes += group * kInt8Panel) {
    for (int64_t i = 0; i < ahead.lines; ++i, ahead.next += 64)
      _mm_prefetch(reinterpret_cast<const char*>(ahead.next), _MM_HINT_T1);
    _tile_loadd(2, x, ld);
    _tile_loadd(3, codes, 4 * kInt8Panel);
    _tile_loadd(4, codes + 64, 4 * kInt8Panel);
    if (g % 2 == 0) {
      _tile_zero(0);
      _tile_zero(1);
      _tile_dpbsud(0, 2, 3);
      _tile_dpbsud(1, 2, 4);
      if (g == 0) continue;
      _tile_stored(5, sums[g - 1][0], 64);
      _tile_stored(6, sums[g - 1][1], 64);
    } else {
      _tile_zero(5);
      _tile_zero(6);
      _tile_dpbsud(5, 2, 3);
      _tile_dpbsud(6, 2, 4);
      _tile_stored(0, sums[g - 1][0], 64);
      _tile_stored(1, sums[g - 1][1], 64);
    }
  }
  if (groups % 2 == 0) {
    _tile_stored(5, sums[groups - 1][0], 64);
    _tile_stored(6, sums[groups - 1][1], 64);
  } else {
    _tile_stored(0, sums[groups - 1][0], 64);
    _tile_stored(1, sums[groups - 1][1], 64);
  }
}

// Scales the integer sums of `groups` groups and `rows` rows, from `row` on, and adds them to the float
// sums, which start with the bias terms of all groups. Both halves of the panel share the row's factors.
template <int rows>
inline __attribute__((always_inline)) void scale(const Sums& sums, const Int8Rows& x, int64_t row,
                                                 const Int8Weights& w, int64_t first, int64_t groups,
                                                 int64_t all_groups, float* totals) {
  __m512 left[rows], right[rows];
  if (first == 0) {
    add_biases(x.bias_terms + row * 2 * x.ld_groups, 2 * x.ld_groups, w.biases, all_groups, left, right);
  } else {
#pragma GCC unroll 8
    for (int m = 0; m < rows; ++m) {
      left[m] = _mm512_load_ps(totals + (row + m) * kInt8Panel);
      right[m] = _mm512_load_ps(totals + (row + m) * kInt8Panel + 16);
    }
  }
  const float* scales = w.scales + first * kInt8Panel;
  for (int64_t g = 0; g < groups; ++g, scales += kInt8Panel) {
    const __m512 s0 = _mm512_loadu_ps(scales), s1 = _mm512_loadu_ps(scales + 16);
#pragma GCC unroll 8
    for (int m = 0; m < rows; ++m) {
      const int64_t at = (row + m) * x.ld_groups + first + g;
      const __m512i start = _mm512_set1_epi32(x.accumulator_start[at]);
      const __m512 a_scale = _mm512_set1_ps(x.scales[at]);
      const auto value = [&](int half) __attribute__((always_inline)) {
        const __m512i sum = _mm512_add_epi32(_mm512_load_si512(sums[g][half] + (row + m) * 16), start);
        return _mm512_mul_ps(_mm512_cvtepi32_ps(sum), a_scale);
      };
      left[m] = _mm512_fmadd_ps(value(0), s0, left[m]);
      right[m] = _mm512_fmadd_ps(value(1), s1, right[m]);
    }
  }
#pragma GCC unroll 8
  for (int m = 0; m < rows; ++m) {
    _mm512_store_ps(totals + (row + m) * kInt8Panel, left[m]);
    _mm512_store_ps(totals + (row + m) * kInt8Panel + 16, right[m]);
  }
}

// One block: up to 16 rows x the panel.
void block(const Int8Rows& x, int64_t rows, const Int8Weights& w, int64_t groups, int group, float* totals,
           Fetch& ahead) {
  alignas(64) Sums sums;
  for (int64_t g = 0; g < groups; g += kGroups) {
    const int64_t count = groups - g < kGroups ? groups - g : kGroups;
    multiply(x.codes + g * group, x.ld, w.codes + g * group * kInt8Panel, count, group, sums, ahead);
    int64_t m = 0;
    for (; m + 8 <= rows; m += 8) scale<8>(sums, x, m, w, g, count, groups, totals);
    if (m + 4 <= rows) {
      scale<4>(sums, x, m, w, g, count, groups, totals);
      m += 4;
    }
    for (; m < rows; ++m) scale<1>(sums, x, m, w, g, count, groups, totals);
  }
}

void matmul(const Int8Rows& x, int64_t rows, const Int8Weights& w, int64_t groups, int group,
            const float* from, ptrdiff_t ld_from, float* y, ptrdiff_t ld_y, int64_t columns,
            const ReadAhead& next) {
  const auto left = static_cast<__mmask16>(columns >= 16 ? 0xffff : (1u << columns) - 1);
  const auto right = static_cast<__mmask16>(columns <= 16 ? 0 : (1u << (columns - 16)) - 1);
  int64_t configured = 0;
  const int64_t products = (rows + kRows - 1) / kRows * groups, lines = next.bytes / 64;
  prefetch_factors(next);
  Fetch ahead{next.codes, (lines + products - 1) / products};
  for (int64_t m = 0; m < rows; m += kRows) {
    const int64_t count = rows - m < kRows ? rows - m : kRows;
    const Int8Rows part = x.at(m, 0, group);
    const float* z = from + m * ld_from;
    float* out = y + m * ld_y;
    if (count < kFewRows) {
      vnni_matmul<WholeCodes>(part, count, w, groups, group, z, ld_from, out, ld_y, columns, next);
      continue;
    }
    if (configured != count) {
      configure(group, count);
      configured = count;
    }
    alignas(64) float totals[kRows * kInt8Panel];
    block(part, count, w, groups, group, totals, ahead);
    for (int64_t i = 0; i < count; ++i, z += ld_from, out += ld_y) {
      const float* t = totals + i * kInt8Panel;
      _mm512_mask_storeu_ps(out, left, _mm512_add_ps(_mm512_maskz_loadu_ps(left, z), _mm512_load_ps(t)));
      _mm512_mask_storeu_ps(out + 16, right,
                            _mm512_add_ps(_mm512_maskz_loadu_ps(right, z + 16), _mm512_load_ps(t + 16)));
    }
  }
  if (configured != 0) _tile_release();
}

float spin(int64_t rounds) {
  return spin_tiles(
      rounds, []() __attribute__((always_inline)) {
        _tile_dpbsud(0, 4, 6);
        _tile_dpbsud(1, 4, 7);
        _tile_dpbsud(2, 5, 6);
        _tile_dpbsud(3, 5, 7);
      });
}

}  // namespace

const Int8Kernels kInt8Amx{.matmul = matmul,
                           .matmul_int4 = nullptr,
                           .expand = expand,
                           .quantize = quantize,
                           .spin = spin,
                           .operations_per_round = kTilesOfARound * 2 * 16 * 16 * 64};

}  // namespace mlxe
