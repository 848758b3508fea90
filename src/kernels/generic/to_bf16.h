// Converts one float to bfloat16 and back, inside kernels. Not base/half.h: its inline functions, compiled
// for one instruction set, could be linked into all variants.
#pragma once

#include <cstdint>

namespace mlxe {
namespace {

// Rounds a finite value to the nearest bfloat16, ties to even.
inline __attribute__((always_inline)) uint16_t float_to_bf16(float value) {
  uint32_t bits;
  __builtin_memcpy(&bits, &value, sizeof bits);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

inline __attribute__((always_inline)) float bf16_to_float(uint16_t half) {
  const uint32_t bits = static_cast<uint32_t>(half) << 16;
  float value;
  __builtin_memcpy(&value, &bits, sizeof value);
  return value;
}

}  // namespace
}  // namespace mlxe
