// The tensors of a GGUF file under the names and with the values that they had before llama.cpp's converter.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "format/gguf_file.h"
#include "format/tensor_file.h"

namespace mlxe {

// A ParseTensors. Tensors of plain numbers point into `bytes`; quantized ones, and those that the converter changed, are
// decoded to float32. A tensor that the architecture does not have keeps its name. Errors: those of GgufFile::parse;
// unsupported (an architecture or a type of tensor that is not read, a file that is one part of several).
TensorContent parse_gguf(std::span<const std::byte> bytes, const std::string& where);

// The values of one tensor. Errors: unsupported (its type).
std::vector<float> gguf_floats(const GgufFile& file, const GgufTensor& tensor);

}  // namespace mlxe
