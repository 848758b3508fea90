// Files of vectors, one format for each ending:
//   .npy          a matrix [texts, columns]
//   .jsonl        an object a line: "index", "embedding"
//   .safetensors  one tensor "embeddings", [texts, columns]
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "mlx_encoder/vector_precision.h"

namespace mlxe::cli {

enum class VectorFormat { npy, jsonl, safetensors };

// By `format` ("npy", "jsonl", "safetensors") or, if that is empty, by the file's ending; .npy for a pipe or device of
// another name. Errors: usage.
VectorFormat vector_format(const std::filesystem::path& path, const std::string& format);

// Appends rows. Until finish() an existing file is unchanged.
class VectorFile {
 public:
  virtual ~VectorFile() = default;
  virtual void append(const PackedVectors& vectors) = 0;
  virtual void finish() = 0;  // Errors: io
  virtual bool is_standard_output() const noexcept = 0;
};

// Errors: usage, io (OutputFile).
std::unique_ptr<VectorFile> open_vector_file(const std::filesystem::path& path, VectorFormat format,
                                             Dtype dtype, int64_t columns);

// The values of a row as a JSON list: of floats or of whole numbers.
nlohmann::json json_values(const PackedVectors& vectors, int64_t row);

}  // namespace mlxe::cli
