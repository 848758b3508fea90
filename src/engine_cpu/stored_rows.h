// Reading one row of a matrix as it is stored; the sizes of its pieces have been checked.
#pragma once

#include <cstdint>

#include "format/stored_weight.h"

namespace mlxe::cpu {

// The packed codes of a row.
const uint8_t* code_row(const StoredWeight& weight, int64_t row) noexcept;

// Scales of `count` groups of a row from group `first` on, and biases where the scheme has them (affine).
// int8 has one group a row, and its zero point for a bias.
void read_scales(const StoredWeight& weight, int64_t row, int64_t first, int64_t count, float* scales,
                 float* biases) noexcept;

// Whether a scheme stores its values as they are.
bool is_plain(const Scheme& scheme) noexcept;

// Columns [first, first + count) of a row as float32. `first` is a multiple of 128, the largest group.
void decode_row(const StoredWeight& weight, int64_t row, int64_t first, int64_t count, float* out) noexcept;

// n plain values as float32.
void read_floats(const std::byte* from, Dtype dtype, int64_t n, float* to) noexcept;

}  // namespace mlxe::cpu
