// The tensors of a safetensors file that hold one weight, and their names.
#pragma once

#include <string>
#include <vector>

#include "format/safetensors.h"
#include "mlx_encoder/quantize.h"

namespace mlxe {

// In the order codes, scales, biases (see QuantizedMatrix). `shape` is logical; [rows, columns] unless the
// scheme is float.
//   affine               x.weight U32, x.scales, x.biases
//   mxfp4, mxfp8, nvfp4  x.weight U32, x.scales U8
//   int8, fake           x.weight, x.weight.scale, x.weight.zero_point
std::vector<TensorSpec> weight_components(const std::string& name, const Shape& shape, const Scheme& scheme);

// Whether two schemes give the same bytes. The dtype counts only for floats and affine scales.
bool same_form(const Scheme& a, const Scheme& b) noexcept;

// Whether the mode is one of MLX's, which config.json's "quantization" can express.
bool is_mlx(Mode mode) noexcept;

}  // namespace mlxe
