// Vectors in fewer bits, as sentence_transformers.quantize_embeddings makes them: the same bytes from the same
// floats.
//
//   mlxe::VectorRanges ranges;
//   ranges.widen(vectors);                               // of all vectors, or of some that stand for them
//   mlxe::quantize(vectors, mlxe::VectorPrecision::int8, ranges);
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "mlx_encoder/encoder.h"
#include "mlx_encoder/types.h"

namespace mlxe {

//   float32
//   float16   rounded to nearest even
//   int8      floor((value - lowest) / ((highest - lowest) / 255)) - 128 of each column's range; values outside
//   uint8     of it get its end. uint8: without the - 128
//   binary    a bit a value, set if it is above 0; the first value is the highest bit of the first byte; the
//   ubinary   bits after the last value are 0. binary: each byte - 128, as int8
enum class VectorPrecision { float32, float16, int8, uint8, binary, ubinary };
VectorPrecision parse_vector_precision(std::string_view spelling);  // "float32", ...; throws usage
const char* name(VectorPrecision precision) noexcept;
Dtype dtype_of(VectorPrecision precision) noexcept;     // f32, f16, i8, u8
bool needs_ranges(VectorPrecision precision) noexcept;  // int8 and uint8
// The values of a row whose vector has `columns`: a byte is one value of binary and ubinary.
int64_t packed_columns(int64_t columns, VectorPrecision precision) noexcept;

// The lowest and highest value of each column.
struct VectorRanges {
  std::vector<double> lowest, highest;
  bool in_float64 = false;  // computed with in double, as NumPy does if the ranges are a float64 array

  bool empty() const noexcept { return lowest.empty(); }
  // Makes the ranges include `vectors`. Errors: usage (another number of columns).
  void widen(const Vectors& vectors);
};

struct PackedVectors {
  int64_t rows = 0, columns = 0;  // columns: packed_columns()
  Dtype dtype = Dtype::f32;
  std::vector<std::byte> values;  // row-major, little endian
};

// `first_text`: as in EmbedOptions. Errors: usage (ranges are needed and have another number of columns); numeric
// (float16: a value beyond its range; names the text). `row`: what messages call a row.
PackedVectors quantize(const Vectors& vectors, VectorPrecision precision, const VectorRanges& ranges = {},
                       size_t first_text = 0, std::string_view row = "text");

}  // namespace mlxe
