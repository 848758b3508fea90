// Files of vectors, one format for each ending:
//   .npy          a matrix [rows, columns]
//   .jsonl        an object a line: "index", "embedding"; of a chunk its place in the texts, too
//   .parquet      columns "index", "embedding" (lists); of a chunk its place, too
//   .safetensors  a tensor "embeddings", [rows, columns]; of chunks also "text", "begin", "end", [rows]
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>

#include "mlx_encoder/vector_precision.h"

namespace mlxe {

enum class VectorFormat { npy, jsonl, parquet, safetensors };
std::string_view name(VectorFormat format) noexcept;  // "npy", ...

// What a row is the vector of.
enum class VectorRows { texts, chunks };

// By `format` ("npy", "jsonl", "parquet", "safetensors") or, if that is empty, by the file's ending; .npy for a pipe or device of
// another name. Errors: usage.
VectorFormat vector_format(const std::filesystem::path& path, const std::string& format);

// Appends rows. Until finish() an existing file is unchanged.
class VectorFile {
 public:
  virtual ~VectorFile() = default;
  // `chunks`: of VectorRows::chunks, one a row; their texts count from the first text of the file.
  virtual void append(const PackedVectors& vectors, std::span<const Chunk> chunks = {}) = 0;
  virtual void finish() = 0;  // Errors: io
  virtual bool is_standard_output() const noexcept = 0;
};

// Errors: usage, io (OutputFile).
std::unique_ptr<VectorFile> open_vector_file(const std::filesystem::path& path, VectorFormat format,
                                             Dtype dtype, int64_t columns, VectorRows rows);

// The values of a row as a JSON list: of floats or of whole numbers.
nlohmann::json json_values(const PackedVectors& vectors, int64_t row);
// The object of a row: its number `index`, its place if it is a chunk's, its values. `chunks`: as in append().
nlohmann::json json_row(int64_t index, const PackedVectors& vectors, std::span<const Chunk> chunks,
                        int64_t row);

}  // namespace mlxe
