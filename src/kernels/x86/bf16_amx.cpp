// bf16_table.h with AMX: tdpbf16ps multiplies a tile of 16 x 32 activations by a tile of 32 x 16 weights in
// 16 cycles.
#include "kernels/x86/amx_config.h"
#include "kernels/x86/attention_avx512.h"
#include "kernels/x86/bf16_avx512_vector.h"
#include "kernels/x86/bf16_round_avx512.h"
#include "kernels/x86/gelu_avx512.h"

namespace mlxe {
namespace {

// The products of attention, in tiles of 16 rows (queries, or attention weights) x 32 summed values x 16
// columns.
struct TileProducts {
  static constexpr int64_t kRows = 16;

  TileProducts() {
    TileConfig config;
    for (int tile = 0; tile < 5; ++tile) config.set(tile, kRows, 64);
    _tile_loadconfig(&config);
  }
  ~TileProducts() { _tile_release(); }
  TileProducts(const TileProducts&) = delete;
  TileProducts& operator=(const TileProducts&) = delete;

  void scores(const uint16_t* q, int64_t size, const uint16_t* keys, int64_t padded, float* s,
              int64_t ld) const {
    for (int64_t j = 0; j < padded; j += 32) {
      _tile_zero(0);
      _tile_zero(1);
      for (int64_t d = 0; d < size; d += 32) {
        _tile_loadd(2, q + d, size * 2);
        _tile_loadd(3, keys + (d / 2 * padded + j) * 2, padded * 4);
        _tile_loadd(4, keys + (d / 2 * padded + j + 16) * 2, padded * 4);
        _tile_dpbf16ps(0, 2, 3);
        _tile_dpbf16ps(1, 2, 4);
      }
      _tile_stored(0, s + j, ld * 4);
      _tile_stored(1, s + j + 16, ld * 4);
    }
  }

  void values(const uint16_t* p, int64_t padded, const uint16_t* values, int64_t size, float* out) const {
    for (int64_t d = 0; d < size; d += 32) {
      const uint16_t* v = values + d * padded;
      _tile_zero(0);
      _tile_zero(1);
      for (int64_t key = 0; key < padded; key += 32) {
        _tile_loadd(2, p + key, padded * 2);
        _tile_loadd(3, v + key * 32, 128);
        _tile_loadd(4, v + key * 32 + 32, 128);
        _tile_dpbf16ps(0, 2, 3);
        _tile_dpbf16ps(1, 2, 4);
      }
      _tile_stored(0, out + d, size * 4);
      _tile_stored(1, out + d + 16, size * 4);
    }
  }
};

// Tile registers: sums of the upper 16 rows (0, 1) and of the lower 16 rows (2, 3), activations (4, 5),
// weights (6, 7).
void configure(int64_t rows) {
  TileConfig config;
  for (int tile = 0; tile < 4; ++tile) config.set(tile, rows, 64);
  config.set(4, rows, 64);
  config.set(5, rows, 64);
  config.set(6, 16, 64);
  config.set(7, 16, 64);
  _tile_loadconfig(&config);
}

// One or two (`both`) blocks of 16 rows (fewer if the tiles are configured so) x 32 columns. The order of
// loads and products is the fastest one measured: nearest to one product every 16 cycles.
template <bool both>
inline __attribute__((always_inline)) void block(const uint16_t* x, ptrdiff_t ld_x, const uint16_t* w,
                                                 int64_t depth, const float* from, ptrdiff_t ld_from,
                                                 float* y, ptrdiff_t ld_y) {
  const uint16_t* lower = x + 16 * ld_x;
  _tile_loadd(0, from, ld_from * 4);
  _tile_loadd(1, from + 16, ld_from * 4);
  if constexpr (both) {
    _tile_loadd(2, from + 16 * ld_from, ld_from * 4);
    _tile_loadd(3, from + 16 * ld_from + 16, ld_from * 4);
  }
  for (int64_t k = 0; k < depth; k += kBf16Depth, w += kBf16Depth * kBf16Panel) {
    _tile_loadd(4, x + k, ld_x * 2);
    _tile_loadd(6, w, 64);
    _tile_loadd(7, w + 512, 64);
    if constexpr (both) _tile_loadd(5, lower + k, ld_x * 2);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    if constexpr (both) {
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
    }
  }
  _tile_stored(0, y, ld_y * 4);
  _tile_stored(1, y + 16, ld_y * 4);
  if constexpr (both) {
    _tile_stored(2, y + 16 * ld_y, ld_y * 4);
    _tile_stored(3, y + 16 * ld_y + 16, ld_y * 4);
  }
}

// For a panel with fewer columns: the sums go through a buffer of whole rows.
void narrow_block(const uint16_t* x, ptrdiff_t ld_x, int64_t rows, const uint16_t* w, int64_t depth,
                  const float* from, ptrdiff_t ld_from, float* y, ptrdiff_t ld_y, int64_t columns) {
  alignas(64) float sums[16 * kBf16Panel] = {};
  const auto left = static_cast<__mmask16>(columns >= 16 ? 0xffff : (1u << columns) - 1);
  const auto right = static_cast<__mmask16>(columns <= 16 ? 0 : (1u << (columns - 16)) - 1);
  for (int64_t m = 0; m < rows; ++m) {
    _mm512_store_ps(sums + m * kBf16Panel, _mm512_maskz_loadu_ps(left, from + m * ld_from));
    _mm512_store_ps(sums + m * kBf16Panel + 16, _mm512_maskz_loadu_ps(right, from + m * ld_from + 16));
  }
  block<false>(x, ld_x, w, depth, sums, kBf16Panel, sums, kBf16Panel);
  for (int64_t m = 0; m < rows; ++m) {
    _mm512_mask_storeu_ps(y + m * ld_y, left, _mm512_load_ps(sums + m * kBf16Panel));
    _mm512_mask_storeu_ps(y + m * ld_y + 16, right, _mm512_load_ps(sums + m * kBf16Panel + 16));
  }
}

void matmul(const uint16_t* x, ptrdiff_t ld_x, int64_t rows, const uint16_t* w, int64_t depth,
            const float* from, ptrdiff_t ld_from, float* y, ptrdiff_t ld_y, int64_t columns) {
  int64_t configured = 0;
  for (int64_t m = 0; m < rows;) {
    const int64_t left = rows - m, tile = left < 16 ? left : 16;
    const uint16_t* a = x + m * ld_x;
    const float* z = from + m * ld_from;
    float* out = y + m * ld_y;
    if (configured != tile) configure(configured = tile);
    // All panels use the rows of a block while these are in L1.
    for (int64_t n = 0; n < columns; n += kBf16Panel) {
      const uint16_t* panel = w + n * depth;
      if (columns - n < kBf16Panel) {
        narrow_block(a, ld_x, tile, panel, depth, z + n, ld_from, out + n, ld_y, columns - n);
        if (left >= 32)
          narrow_block(a + 16 * ld_x, ld_x, tile, panel, depth, z + 16 * ld_from + n, ld_from,
                       out + 16 * ld_y + n, ld_y, columns - n);
      } else if (left >= 32) {
        block<true>(a, ld_x, panel, depth, z + n, ld_from, out + n, ld_y);
      } else {
        block<false>(a, ld_x, panel, depth, z + n, ld_from, out + n, ld_y);
      }
    }
    m += left >= 32 ? 32 : tile;
  }
  if (configured != 0) _tile_release();
}

float spin(int64_t rounds) {
  return spin_tiles(
      rounds, []() __attribute__((always_inline)) {
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
      });
}

}  // namespace

const Bf16Kernels kBf16Amx{.matmul = matmul,
                           .decode = Bf16Decode<Bf16Avx512>::decode,
                           .round = round,
                           .gelu_erf = gelu_erf,
                           .attend = Bf16Attention<TileProducts>::attend,
                           .attend_bytes = Bf16Attention<TileProducts>::scratch_bytes,
                           .spin = spin,
                           .flops_per_round = kTilesOfARound * 2 * 16 * 16 * 32};

}  // namespace mlxe
