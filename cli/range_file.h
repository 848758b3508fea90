// Files of a vector's ranges, the lowest and highest value of each column:
//   .npy   [2, columns], float32 or float64, as sentence_transformers' quantize_embeddings takes
//   .json  {"lowest": [...], "highest": [...]}, read as float32
#pragma once

#include <filesystem>

#include "mlx_encoder/vector_precision.h"

namespace mlxe::cli {

// Errors: usage (another ending; a precision without ranges), not_found, io, format.
VectorRanges read_ranges(const std::filesystem::path& path, VectorPrecision precision);

// Throws the errors of write_ranges that can be known before: usage (another ending), io.
void require_range_file(const std::filesystem::path& path);
void write_ranges(const std::filesystem::path& path, const VectorRanges& ranges);

}  // namespace mlxe::cli
