// Parquet files of vectors: a column "embedding" of lists, "index" and, of chunks, "text", "chunk", "begin", "end", "tokens".
#pragma once

#include <filesystem>
#include <memory>

#include "vectors/vector_file.h"

namespace mlxe {

// As open_vector_file(). Some 16 MiB of vectors, a row group, are in memory at a time, and as much for writing them.
std::unique_ptr<VectorFile> open_parquet_vectors(const std::filesystem::path& path, Dtype dtype,
                                                 int64_t columns, VectorRows rows);

}  // namespace mlxe
