// The weights of an encoder in an ONNX file (model.onnx), under the names that they had before the export.
//
// Exporters keep the names of embeddings, norms and biases, but store the weight of a linear layer transposed and under a name of
// their own. Such a matrix is named after the bias that is added to its product, else after the module in the name or
// the scopes of the operator that reads it. Nothing here knows a model family.
//
// Read: torch.onnx.export, both exporters (and so optimum and transformers.js); float32, float16, bfloat16, float64;
// weights that onnxruntime quantized, which become float32: (code - zero point) * scale
//   MatMulInteger (quantize_dynamic), DequantizeLinear (static quantization, QDQ), MatMulNBits, GatherBlockQuantized.
// Refused: operators that hold several weights of the model as one, such as Attention of onnxruntime's optimizer, and those
// that change a parameter before it is used. Whatever else the graph computes is not read.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "format/tensor_file.h"

namespace mlxe {

// A ParseTensors. External data is read beside `where`. The tensors are in the order of safetensors: by dtype, then by
// name. Those that are stored as they are point into the files, others into a temporary one. Errors beside those of
// ParseTensors: unsupported names the operator or matrix that belongs to no parameter.
TensorContent parse_onnx(std::span<const std::byte> bytes, const std::string& where);

}  // namespace mlxe
