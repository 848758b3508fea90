// NumPy's .npy format, version 1.0: a header that says '<f4', C order and the shape, then the values.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>

#include "base/output_file.h"

namespace mlxe::cli {

// Appends rows of float32. finish() writes the number of rows into the header. Until then an existing file
// is unchanged.
class NpyWriter {
 public:
  // Errors: usage, io (OutputFile).
  NpyWriter(const std::filesystem::path& path, int64_t columns);
  void append(std::span<const float> values);  // whole rows
  void finish();                               // Errors: io

  bool is_standard_output() const noexcept { return file_.is_standard_output(); }

 private:
  std::string header() const;

  OutputFile file_;
  int64_t columns_;
  int64_t rows_ = 0;
};

}  // namespace mlxe::cli
