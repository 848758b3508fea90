// NumPy's .npy format, version 1.0: a header that says '<f4', C order and the shape, then the values.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <span>

namespace mlxe::cli {

// Appends rows of float32; the row count is written into the header by finish(). A file not finished is
// removed.
class NpyWriter {
 public:
  NpyWriter(std::filesystem::path path, int64_t columns);
  ~NpyWriter();
  void append(std::span<const float> values);  // whole rows
  void finish();                               // Errors: io

 private:
  void header();

  std::filesystem::path path_, partial_;
  std::ofstream file_;
  int64_t columns_;
  int64_t rows_ = 0;
  bool finished_ = false;
};

}  // namespace mlxe::cli
