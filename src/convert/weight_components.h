// Which tensors of a safetensors file hold one weight, under which names.
#pragma once

#include <string>
#include <vector>

#include "format/safetensors.h"
#include "mlx_encoder/quantize.h"

namespace mlxe {

// In the order codes, scales, biases (see QuantizedMatrix). `shape` is logical; [rows, columns] unless the
// scheme is plain.
//   affine               x.weight U32, x.scales, x.biases
//   mxfp4, mxfp8, nvfp4  x.weight U32, x.scales U8
//   int8, fake           x.weight, x.weight.scale, x.weight.zero_point
std::vector<TensorSpec> weight_components(const std::string& name, const Shape& shape, const Scheme& scheme);

// Whether the two give the same bytes: dtype matters only to plain values and affine scales.
bool same_form(const Scheme& a, const Scheme& b) noexcept;

// MLX's own modes: what config.json's "quantization" can express.
bool is_mlx(Mode mode) noexcept;

}  // namespace mlxe
