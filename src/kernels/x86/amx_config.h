// The shapes of AMX's tile registers.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace mlxe {
namespace {

struct alignas(64) TileConfig {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};

  void set(int tile, int64_t height, int64_t width) {
    rows[tile] = static_cast<uint8_t>(height);
    row_bytes[tile] = static_cast<uint16_t>(width);
  }
};

// For the measured peak: `products` multiplies tiles 4, 5 by tiles 6, 7 into the four sums 0 to 3.
constexpr int64_t kTilesOfARound = 4;

template <class Products>
float spin_tiles(int64_t rounds, Products products) {
  TileConfig config;
  for (int tile = 0; tile < 8; ++tile) config.set(tile, 16, 64);
  _tile_loadconfig(&config);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_zero(4);
  _tile_zero(5);
  _tile_zero(6);
  _tile_zero(7);
  for (int64_t r = 0; r < rounds; ++r) products();
  alignas(64) float sums[16 * 16];
  _tile_stored(0, sums, 64);
  _tile_release();
  return sums[0];
}

}  // namespace
}  // namespace mlxe
