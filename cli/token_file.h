// Files of token vectors, one format for each ending:
//   .safetensors  "offsets" [texts + 1] I64: rows of text i begin at offsets[i]; "ids" [rows] I32 of tokens; "embeddings"
//                 [rows, columns] F32
//   .npz          the same arrays for NumPy
//   .jsonl        an object a line: "index", "ids", "tokens", "vectors"
#pragma once

#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "mlx_encoder/encoder.h"
#include "sparse_file.h"

namespace mlxe::cli {

enum class TokenFormat { safetensors, npz, jsonl };

// As output_format(). Errors: usage.
TokenFormat token_format(const std::filesystem::path& path, const std::string& format);

// Text `index` as one JSON object, from text `i` of `vectors`.
nlohmann::json json_of(const TokenVectors& vectors, int64_t i, int64_t index, const TokenOf& token);

// Appends texts. Until finish() an existing file is unchanged.
class TokenFile {
 public:
  virtual ~TokenFile() = default;
  virtual void append(const TokenVectors& vectors) = 0;
  virtual void finish() = 0;                             // Errors: io
  virtual bool is_standard_output() const noexcept = 0;  // after finish()
};

// Errors: usage, io (OutputFile).
std::unique_ptr<TokenFile> open_token_file(const std::filesystem::path& path, TokenFormat format,
                                           TokenOf token);

}  // namespace mlxe::cli
