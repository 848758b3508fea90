// Tensors of an ONNX graph as the values that its operators compute from them: transposed, dequantized.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <tuple>

#include "format/onnx_graph.h"
#include "mlx_encoder/types.h"

namespace mlxe {

// Codes of a matrix [R, C] and what they mean: value = (code - zero point) * scale, in float32. A scale serves a block of
// `row_block` x `column_block` elements; the blocks are numbered row by row, `row_of_blocks` in each. A vector is a matrix
// of one row.
struct OnnxScales {
  const OnnxTensor* scale = nullptr;
  const OnnxTensor* zero_point = nullptr;  // nullptr: `zero`
  float zero = 0;
  int64_t row_block = 1, column_block = 1, row_of_blocks = 1;
  int bits = 8;             // of a code, and of a zero point that is no float
  bool is_signed = false;   // both
  int64_t code_stride = 0;  // elements from a row of codes to the next
  int64_t zero_stride = 0;  // zero points from a row of blocks to the next
};

// A constant of the graph. Points into the graph.
struct OnnxConstant {
  const OnnxTensor* values = nullptr;  // floats, or codes if there are `scales`
  std::optional<OnnxScales> scales = std::nullopt;
  bool transposed = false;  // of a matrix
  Shape shape = {};         // before it is transposed

  Shape final_shape() const;
  std::optional<Dtype> dtype() const;  // none: no floats
  uint64_t bytes() const;
  uint64_t stored_bytes() const;  // in the file, scales and zero points too
  bool is_matrix() const { return shape.size() == 2; }
  // The same for constants that have the same values because they are computed alike.
  using Key = std::tuple<const OnnxTensor*, const OnnxTensor*, const OnnxTensor*, bool>;
  Key key() const;
  // Whether the stored values, shapes and scales are the same and used alike, and so the values.
  bool is_stored_as(const OnnxConstant& other) const;
  // Writes the values, row-major, `bytes()` in all.
  void write(std::byte* out) const;
};

OnnxConstant onnx_constant(const OnnxTensor& tensor);

// Operator DequantizeLinear, and the weights of MatMulInteger. `codes` is a matrix or a vector; `axis` is that of the scales if there
// are several; a scale serves `block` elements of it, 0: one. Errors: format (sizes that contradict each other),
// unsupported (types and ranks).
OnnxConstant dequantized(const OnnxTensor& codes, const OnnxTensor& scale, const OnnxTensor* zero_point,
                         int64_t axis, int64_t block, const std::string& where);

// Operators MatMulNBits and GatherBlockQuantized of com.microsoft: a row of `columns` codes of `bits` bits, with a scale for
// each `block` of them; the codes fill whole blocks if `whole_blocks`. Without zero points, `zero`. Errors: as above.
struct OnnxBlocks {
  int64_t rows = 0, columns = 0;
  int64_t bits = 4, block = 0;
  bool is_signed = false, whole_blocks = false;
  float zero = 0;
};
OnnxConstant dequantized_blocks(const OnnxTensor& codes, const OnnxTensor& scale,
                                const OnnxTensor* zero_point, const OnnxBlocks& blocks,
                                const std::string& where);

}  // namespace mlxe
