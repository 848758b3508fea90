// One weight of the engine. Matrices stay in their stored form; for int8 or bf16 activations they are
// packed once. Vectors are converted to float32 once.
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
  // A vector (one dimension), a matrix (two), or the weights of a convolution (three): a matrix with a row for each
  // output. Errors: format (the bytes don't match the shape),
  // unsupported (the values are no floats), numeric (a vector with NaN or infinity).
  explicit Weight(const StoredWeight& stored);

  const std::string& name() const noexcept { return stored_.name; }
  bool is_vector() const noexcept { return stored_.shape.size() == 1; }
  int64_t rows() const noexcept { return stored_.shape[0]; }
  int64_t columns() const noexcept { return is_vector() ? 1 : stored_.shape[1]; }

  // The values of a vector.
  const float* values() const noexcept { return values_.data(); }

  // Decodes columns [first_column, first_column + columns) of a matrix's row to float32. first_column is a
  // multiple of 128, the largest group.
  void decode(int64_t row, int64_t first_column, int64_t columns, float* out) const {
    decode_row(stored_, row, first_column, columns, out);
  }
  // Pointer to the same columns if they are stored as aligned float32; else null.
  const float* stored_floats(int64_t row, int64_t first_column) const noexcept;

  // code_group() of the matrix's scheme (packed_weight.h).
  int code_group() const noexcept;
  // Creates the packed form. The caller then calls its place() and fill().
  PackedWeight& start_packing(int group, Activations activations);
  PackedWeight* packed() noexcept { return packed_ ? &*packed_ : nullptr; }
  const PackedWeight* packed() const noexcept { return packed_ ? &*packed_ : nullptr; }
  // Gives the pages of the stored form back to the system. They are read again on the next access.
  void release_stored() noexcept;

 private:
  StoredWeight stored_;
  std::vector<float> values_;
  std::optional<PackedWeight> packed_;
};

}  // namespace mlxe::cpu
