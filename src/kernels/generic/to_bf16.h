// One float to bfloat16 and back, for the edges of kernels. base/half.h has the same, but what a file
// compiled for one instruction set takes from there could stand in for the others'.
#pragma once

#include <cstdint>

namespace mlxe {
namespace {

// To the nearest, ties to even; of a finite value.
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
