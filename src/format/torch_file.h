// The tensors of a state dict that torch.save wrote (pytorch_model.bin): a zip archive, or the form before torch
// 1.6. A pickle in it says what the tensors are; it is read as data (format/pickle.h), and nothing is executed.
//
//   zip     NAME/data.pkl, NAME/data/KEY with the bytes of each storage, NAME/byteorder
//   legacy  pickles of a magic number, a version, facts of the machine, the state dict and the list of keys;
//           then for each key the number of elements (8 bytes) and the bytes of that storage
//
// Accepts what torch.load(weights_only=True) and transformers accept for dense tensors: one dictionary of names
// and tensors. Attributes ("_metadata", requires_grad, hooks) are ignored.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "format/tensor_file.h"

namespace mlxe {

// A ParseTensors. Tensors may share bytes. Those that lie contiguously point into `bytes`; others are copied. The
// tensors are in the order that safetensors stores them in: by dtype, then by name. Errors beside
// those of ParseTensors: unsupported names the instruction, function, dtype or entry that is not read.
TensorContent parse_torch(std::span<const std::byte> bytes, const std::string& where);

}  // namespace mlxe
