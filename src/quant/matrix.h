// Quantizing into, and reading from, buffers the caller owns: what the streaming converter and the engines
// use.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "mlx_encoder/quantize.h"

namespace mlxe {

class ThreadPool;

// Bytes of each stored piece of a [rows, columns] matrix (QuantizedMatrix says which piece is what). Throws
// usage when the scheme is illegal or the shape does not fit it.
struct PieceSizes {
  uint64_t codes = 0, scales = 0, biases = 0;
  uint64_t total() const noexcept { return codes + scales + biases; }
};
PieceSizes piece_sizes(const Scheme& scheme, int64_t rows, int64_t columns);

struct MatrixPieces {  // to write
  std::span<std::byte> codes, scales, biases;
};
struct MatrixView {  // to read
  std::span<const std::byte> codes, scales, biases;
};
MatrixView view(const QuantizedMatrix& matrix) noexcept;

QuantizedMatrix empty_matrix(const Scheme& scheme, int64_t rows, int64_t columns);  // all bytes 0

// quantize() into `out`, whose spans have exactly piece_sizes() bytes and any alignment. Rows are independent
// in every scheme but `fake`, so a matrix too large to hold may be done in slices of rows: the bytes are the
// same. Threads share the rows. Throws usage, or numeric with a text that begins "row R, column C: " (of the
// span given; the first such value).
void quantize_into(std::span<const std::byte> values, Dtype source, int64_t rows, int64_t columns,
                   const Scheme& scheme, const MatrixPieces& out, ThreadPool& pool);
// quantize() with the threads of a pool.
QuantizedMatrix quantize(std::span<const std::byte> values, Dtype source, int64_t rows, int64_t columns,
                         const Scheme& scheme, ThreadPool& pool);

// dequantize() of rows [first, first + count) of a [rows, columns] matrix into `out`, [count, columns]. Runs
// on the calling thread; may be called from several at once. Throws usage (scheme, shape or range), format (a
// piece has the wrong number of bytes) or numeric (a scale, bias or value is not finite; names the row).
void dequantize_rows(const MatrixView& matrix, const Scheme& scheme, int64_t rows, int64_t columns,
                     int64_t first, int64_t count, std::span<float> out);

}  // namespace mlxe
