// One logical tensor as it lies in the file: plain values, or codes with their scales.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "mlx_encoder/quantize.h"
#include "mlx_encoder/types.h"

namespace mlxe {

// Pieces as QuantizedMatrix lays them out (mlx_encoder/quantize.h). The spans point into a mapped file and
// may be unaligned. Plain tensors of any rank and dtype have scheme.mode none, their bytes in `codes`.
struct StoredWeight {
  std::string name;  // canonical
  Scheme scheme;
  Shape shape;               // logical: [rows, columns] of the matrix before quantizing
  Dtype dtype = Dtype::f32;  // of plain values
  std::span<const std::byte> codes, scales, biases;
};

}  // namespace mlxe
