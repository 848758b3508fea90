// One weight the engine was given: matrices stay as they are stored, and are packed once where activations
// are less than float32; vectors become float32 once.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine_cpu/packed_weight.h"
#include "engine_cpu/stored_rows.h"
#include "format/stored_weight.h"

namespace mlxe::cpu {

class Weight {
 public:
  // Vectors (one dimension) and matrices (two). Throws format when the bytes don't match the shape,
  // unsupported for values that are no floats, numeric for a vector with NaN or infinity.
  explicit Weight(const StoredWeight& stored);

  const std::string& name() const noexcept { return stored_.name; }
  bool is_vector() const noexcept { return stored_.shape.size() == 1; }
  int64_t rows() const noexcept { return stored_.shape[0]; }
  int64_t columns() const noexcept { return is_vector() ? 1 : stored_.shape[1]; }

  // Of a vector.
  const float* values() const noexcept { return values_.data(); }

  // Of a matrix: columns [first_column, first_column + columns) of one row as float32. first_column is a
  // multiple of 128, the largest group.
  void decode(int64_t row, int64_t first_column, int64_t columns, float* out) const {
    decode_row(stored_, row, first_column, columns, out);
  }
  // The same columns, where they are stored as aligned float32 already; else null.
  const float* stored_floats(int64_t row, int64_t first_column) const noexcept;

  // Of a matrix: columns that share a scale, 0 where it has no codes (packed_weight.h).
  int code_group() const noexcept;
  // Makes the packed form, which the caller then places and fills.
  PackedWeight& start_packing(int group, Activations activations);
  PackedWeight* packed() noexcept { return packed_ ? &*packed_ : nullptr; }
  const PackedWeight* packed() const noexcept { return packed_ ? &*packed_ : nullptr; }
  // Gives the pages of the stored form back to the system; they are read again where they are needed.
  void release_stored() noexcept;

 private:
  StoredWeight stored_;
  std::vector<float> values_;
  std::optional<PackedWeight> packed_;
};

}  // namespace mlxe::cpu
