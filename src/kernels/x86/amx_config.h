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

}  // namespace
}  // namespace mlxe
