// Quantizes into, and dequantizes from, buffers of the caller. For the streaming converter and the engines.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "mlx_encoder/quantize.h"

namespace mlxe {

class ThreadPool;

// Bytes of each stored component of a [rows, columns] matrix; see QuantizedMatrix for the components.
// Errors: usage (the scheme is illegal, or the shape does not fit it).
struct ComponentBytes {
  uint64_t codes = 0, scales = 0, biases = 0;
  uint64_t total() const noexcept { return codes + scales + biases; }
};
ComponentBytes component_bytes(const Scheme& scheme, int64_t rows, int64_t columns);

struct MatrixComponents {  // to write
  std::span<std::byte> codes, scales, biases;
};
struct MatrixView {  // to read
  std::span<const std::byte> codes, scales, biases;
};
MatrixView view(const QuantizedMatrix& matrix) noexcept;

QuantizedMatrix empty_matrix(const Scheme& scheme, int64_t rows, int64_t columns);  // all bytes 0

// quantize() into `out`, whose spans have exactly component_bytes() bytes and any alignment. Threads share the
// rows. In every scheme except `fake` rows are independent: a large matrix may be quantized in slices of
// rows, with the same bytes. Errors: usage; numeric (the text begins with "row R, column C: ", the first
// bad value of `values`; its first row has the number `first_row`).
void quantize_into(std::span<const std::byte> values, Dtype source, int64_t rows, int64_t columns,
                   const Scheme& scheme, const MatrixComponents& out, ThreadPool& pool,
                   int64_t first_row = 0);
// quantize() on the threads of `pool`.
QuantizedMatrix quantize(std::span<const std::byte> values, Dtype source, int64_t rows, int64_t columns,
                         const Scheme& scheme, ThreadPool& pool);

// Dequantizes rows [first, first + count) of a [rows, columns] matrix into `out`, [count, columns]. Runs on
// the calling thread; several threads may call it at once. Errors: usage (scheme, shape or range), format
// (a component has the wrong number of bytes), numeric (a scale, bias or value is not finite; names the
// row).
void dequantize_rows(const MatrixView& matrix, const Scheme& scheme, int64_t rows, int64_t columns,
                     int64_t first, int64_t count, std::span<float> out);

}  // namespace mlxe
