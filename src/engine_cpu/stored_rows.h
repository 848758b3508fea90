// Reads single rows of a stored matrix. The sizes of its components must have been checked.
#pragma once

#include <cstdint>

#include "format/stored_weight.h"

namespace mlxe::cpu {

// The packed codes of a row.
const uint8_t* code_row(const StoredWeight& weight, int64_t row) noexcept;

// Reads the scales of groups [first, first + count) of a row, and the biases if the scheme has them
// (affine). int8 has one group a row, and its zero point as bias.
void read_scales(const StoredWeight& weight, int64_t row, int64_t first, int64_t count, float* scales,
                 float* biases) noexcept;

// Whether a scheme stores plain values.
bool is_plain(const Scheme& scheme) noexcept;

// Decodes columns [first, first + count) of a row to float32. `first` is a multiple of 128, the largest
// group.
void decode_row(const StoredWeight& weight, int64_t row, int64_t first, int64_t count, float* out) noexcept;

// Converts n plain values to float32.
void read_floats(const std::byte* from, Dtype dtype, int64_t n, float* to) noexcept;

}  // namespace mlxe::cpu
