#include "vector_file.h"

#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "base/output_file.h"
#include "file_format.h"
#include "format/safetensors.h"
#include "npy.h"

namespace mlxe::cli {
namespace {

constexpr std::array<std::string_view, 3> kVectorFormats{"npy", "jsonl",
                                                         "safetensors"};  // in the order of VectorFormat

// A header with the number of rows, which is written again when that is known, and then the values.
class MatrixFile : public VectorFile {
 public:
  MatrixFile(const std::filesystem::path& path, VectorFormat format, Dtype dtype, int64_t columns)
      : file_(path), format_(format), dtype_(dtype), columns_(columns) {
    file_.write(header());
  }

  void append(const PackedVectors& vectors) override {
    file_.write(vectors.values);
    rows_ += vectors.rows;
  }
  void finish() override {
    file_.rewrite_start(header());
    file_.finish();
  }
  bool is_standard_output() const noexcept override { return file_.is_standard_output(); }

 private:
  std::string header() const {
    return format_ == VectorFormat::npy ? npy_header(dtype_, rows_, columns_) : safetensors_header();
  }

  std::string safetensors_header() const {
    constexpr size_t kBytes = 192;  // a multiple of 8 with room for any number of rows
    std::string text = fmt::format(
        "{{\"embeddings\":{{\"dtype\":\"{}\",\"shape\":[{},{}],\"data_offsets\":[0,{}]}}}}",
        mlxe::name(dtype_), rows_, columns_, rows_ * columns_ * static_cast<int64_t>(size_of(dtype_)));
    text.resize(kBytes, ' ');
    std::string length(8, '\0');
    length[0] = static_cast<char>(kBytes);
    return length + text;
  }

  OutputFile file_;
  VectorFormat format_;
  Dtype dtype_;
  int64_t columns_;
  int64_t rows_ = 0;
};

class LinesFile : public VectorFile {
 public:
  explicit LinesFile(const std::filesystem::path& path) : file_(path) {}

  void append(const PackedVectors& vectors) override {
    for (int64_t i = 0; i < vectors.rows; ++i)
      file_.write(nlohmann::json{{"index", rows_++}, {"embedding", json_values(vectors, i)}}.dump() + "\n");
  }
  void finish() override { file_.finish(); }
  bool is_standard_output() const noexcept override { return file_.is_standard_output(); }

 private:
  OutputFile file_;
  int64_t rows_ = 0;
};

}  // namespace

VectorFormat vector_format(const std::filesystem::path& path, const std::string& format) {
  return static_cast<VectorFormat>(file_format(path, format, kVectorFormats));
}

std::unique_ptr<VectorFile> open_vector_file(const std::filesystem::path& path, VectorFormat format,
                                             Dtype dtype, int64_t columns) {
  if (format == VectorFormat::jsonl) return std::make_unique<LinesFile>(path);
  return std::make_unique<MatrixFile>(path, format, dtype, columns);
}

nlohmann::json json_values(const PackedVectors& vectors, int64_t row) {
  const auto columns = static_cast<size_t>(vectors.columns);
  const auto bytes = std::span(vectors.values)
                         .subspan(static_cast<size_t>(row) * columns * size_of(vectors.dtype),
                                  columns * size_of(vectors.dtype));
  if (is_float(vectors.dtype)) {
    std::vector<float> values(columns);
    to_float(vectors.dtype, bytes, values);
    return values;
  }
  nlohmann::json values = nlohmann::json::array();
  for (const std::byte b : bytes) {
    const auto code = static_cast<uint8_t>(b);
    values.push_back(vectors.dtype == Dtype::i8 ? int{static_cast<int8_t>(code)} : int{code});
  }
  return values;
}

}  // namespace mlxe::cli
