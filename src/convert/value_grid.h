// Detects floats that were quantized before.
//
// Values that were rounded to b bits lie on an even grid of at most 2^b points: k * step + offset. Trained weights do
// not, whatever their float type: a few rows have thousands of distinct values, and the few values of a short row have
// no common step.
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

// Looks for one grid over the whole matrix, then for one grid per row. `row` writes the values of one row; it is called
// until the rows read exclude a grid. `dtype`: that of the stored values, as 16-bit floats blur a grid. The probability that
// independent random values are taken for a grid is below 1e-9 (value_grid.cpp).
std::optional<ValueGrid> find_value_grid(int64_t rows, int64_t columns, Dtype dtype,
                                         const std::function<void(int64_t row, std::span<float> out)>& row);
// The same for a tensor of a checkpoint. None if the tensor is stored quantized or is not a matrix.
std::optional<ValueGrid> find_value_grid(const Checkpoint& checkpoint, const StoredWeight& weight);

// "255 distinct values a row on an even grid of step 0.0021, stored as F32"
std::string to_string(const ValueGrid& grid, Dtype dtype);

}  // namespace mlxe
