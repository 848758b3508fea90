// How one matrix is stored: the scheme, its exact size, quantizing and dequantizing.
//
// The codes are those of mlx.core.quantize, byte for byte. docs/format.md specifies them.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mlx_encoder/types.h"

namespace mlxe {

enum class Mode {
  none,    // plain float of some dtype
  affine,  // w = q * scale + bias, unsigned q of 2,3,4,5,6,8 bits, group 32, 64 or 128
  mxfp4,   // e2m1 codes, e8m0 scale per 32
  mxfp8,   // e4m3 codes, e8m0 scale per 32
  nvfp4,   // e2m1 codes, e4m3 scale per 16
  int8,    // w = (q - zero_point) * scale, one scale and zero point per row; needs no MLX
  fake,    // int8 rounding of the whole tensor, stored as float32: a baseline for comparison
};

struct Scheme {
  Mode mode = Mode::none;
  int bits = 0;        // per code; 0 for none
  int group_size = 0;  // columns sharing a scale; 0 for none, int8 (a row) and fake (a tensor)
  // f32, f16 or bf16:
  //   none                  dtype of the values
  //   affine                dtype of scales and biases
  //   mxfp4, mxfp8, nvfp4   dtype to which values are rounded before they are quantized
  //   int8, fake            ignored; they quantize float32 values
  Dtype dtype = Dtype::f16;

  friend bool operator==(const Scheme&, const Scheme&) = default;
};

const char* name(Mode mode) noexcept;         // "affine", "mxfp4", ...; none is "float"
Mode parse_mode(std::string_view spelling);   // throws usage, listing the modes
std::string to_string(const Scheme& scheme);  // "affine 4-bit g64 float16", "float16", ...

// Throws usage with the legal values when bits, group size or dtype do not exist for the mode.
void validate(const Scheme& scheme);
// Whether the group size of this (legal) scheme divides a row of `columns` values.
bool fits(const Scheme& scheme, int64_t columns) noexcept;

// Exact bytes of a [rows, columns] matrix: codes + scales + biases (or zero points). Throws usage when the
// scheme is illegal or the shape does not fit it.
uint64_t stored_bytes(const Scheme& scheme, int64_t rows, int64_t columns);

// The stored components of one [rows, columns] matrix, row-major, little endian.
//   affine      codes U32 [rows, columns*bits/32]; scales, biases: dtype [rows, columns/group_size]
//   mxfp4/8     codes U32 [rows, columns*bits/32]; scales U8 e8m0 [rows, columns/32]
//   nvfp4       codes U32 [rows, columns/8]; scales U8 e4m3 [rows, columns/16]
//   int8        codes I8 [rows, columns]; scales F32 [rows]; biases: zero points I8 [rows]
//   fake        codes F32 [rows, columns]; scales F32 [1]; biases: zero point F32 [1]
//   none        codes: `dtype` [rows, columns]
struct QuantizedMatrix {
  Scheme scheme;
  int64_t rows = 0;
  int64_t columns = 0;
  std::vector<std::byte> codes, scales, biases;
};

// Quantizes `values`: [rows, columns] of dtype `source`, any float dtype and alignment. The values are first
// rounded to scheme.dtype (to nearest, ties to even; F64 by way of float32), as in mlx-lm and mlx-embeddings.
//
// int8 computes, for each row, in float32 (the first quotient in float64, rint to even):
//   [low, high] = the row's range, widened to contain 0
//   scale       = float32((high - low) / 255), or 1 if that is 0
//   zero_point  = clamp(rint(-128 - low / scale), -128, 127)
//   q           = clamp(rint(w / scale) + zero_point, -128, 127)
// fake computes the same with one range for the whole matrix.
//
// The bytes are the same on every machine and for any number of threads. `threads` 0: all cores this
// process may use. Errors: usage (the shape does not fit), numeric ("row R, column C: ..." names the first
// NaN, infinity or value that scheme.dtype can't hold).
QuantizedMatrix quantize(std::span<const std::byte> values, Dtype source, int64_t rows, int64_t columns,
                         const Scheme& scheme, int threads = 0);

// The dequantized values, float32 [rows, columns]: q * scale + bias in float32.
// Errors: format (a component has the wrong size), numeric (a scale, bias or value is not finite).
std::vector<float> dequantize(const QuantizedMatrix& matrix);

}  // namespace mlxe
