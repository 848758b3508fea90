// The arrays of a .npz file, as mlx.core.savez and numpy.savez write them (weights.npz of MLX's older examples): a
// zip archive with a member NAME.npy for each array.
//
//   member   "\x93NUMPY", version 1, 2 or 3, length of the header (2 bytes; 4 from version 2 on, little endian),
//            header, values
//   header   {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }, padded with spaces
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "format/tensor_file.h"

namespace mlxe {

// A ParseTensors. The tensors are in the order that safetensors stores them in: by dtype, then by name. Those in C
// order point into `bytes`; others are copied. Two bytes without a type ("V2") are bfloat16, as MLX writes and reads
// it. The names that BERT has in MLX's example become Hugging Face's. Errors beside those of ParseTensors:
// unsupported names the member that is compressed or has a dtype that is not read.
TensorContent parse_npz(std::span<const std::byte> bytes, const std::string& where);

}  // namespace mlxe
