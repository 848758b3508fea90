// Files of sparse vectors, one format for each ending:
//   .npz          what scipy.sparse.load_npz reads: a CSR matrix [texts, vocabulary]
//   .jsonl        an object a line: "index", and the terms by falling weight: "indices", "values", "tokens"
//   .safetensors  "indptr" [texts + 1] I64, "indices" I32 and "values" F32 of the same matrix; metadata: "format", "rows",
//                 "columns"
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "mlx_encoder/encoder.h"

namespace mlxe::cli {

enum class SparseFormat { npz, jsonl, safetensors };

// As output_format(). Errors: usage.
SparseFormat sparse_format(const std::filesystem::path& path, const std::string& format);

// A term of a text.
struct Term {
  int32_t id = 0;
  float weight = 0;
};

// The terms of a row by falling weight; equal ones by id.
std::vector<Term> terms_of(const SparseVectors& vectors, int64_t row);

// Text `index` as one JSON object. `token`: the token of an id.
using TokenOf = std::function<std::string(int32_t id)>;
nlohmann::json json_of(const SparseVectors& vectors, int64_t row, int64_t index, const TokenOf& token);

// Appends rows. Until finish() an existing file is unchanged.
class SparseFile {
 public:
  virtual ~SparseFile() = default;
  virtual void append(const SparseVectors& vectors) = 0;
  virtual void finish() = 0;                             // Errors: io
  virtual bool is_standard_output() const noexcept = 0;  // after finish()
};

// `columns`: of the vectors. Errors: usage, io (OutputFile).
std::unique_ptr<SparseFile> open_sparse_file(const std::filesystem::path& path, SparseFormat format,
                                             int64_t columns, TokenOf token);

}  // namespace mlxe::cli
