// Telling floats that were quantized once from floats that never were.
//
// Values that went through b-bit rounding lie on an even grid of at most 2^b points: k * step + offset.
// Weights as training leaves them do not, in whatever float type they are stored: their distinct values run
// into the thousands within a few rows, and what few there are in a short row don't share a step.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>

#include "format/checkpoint.h"
#include "mlx_encoder/types.h"

namespace mlxe {

struct ValueGrid {
  enum class Scope { tensor, row };
  Scope scope = Scope::tensor;
  int distinct = 0;  // values found (for rows: in the row that has most)
  int points = 0;    // of the grid between the smallest and the largest of them
  double step = 0;   // (for rows: of that row)
};

// Looks for one grid over the whole matrix, then for a grid of its own in every row. `row` fills in the
// values of one row; it is called for as many rows as it takes, every one if there is a grid. `dtype` is what
// the values are stored in: half floats blur a grid. The chance to take independent random values for a grid
// is below 1e-9 (value_grid.cpp).
std::optional<ValueGrid> find_value_grid(int64_t rows, int64_t columns, Dtype dtype,
                                         const std::function<void(int64_t row, std::span<float> out)>& row);
// The same of a tensor of a checkpoint; none of what is quantized or no matrix.
std::optional<ValueGrid> find_value_grid(const Checkpoint& checkpoint, const StoredWeight& weight);

// "255 distinct values a row on an even grid of step 0.0021, stored as F32"
std::string to_string(const ValueGrid& grid, Dtype dtype);

}  // namespace mlxe
