#include "vectors/vector_file.h"

#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/output_file.h"
#include "base/spool_file.h"
#include "base/text.h"
#include "format/json_file.h"
#include "format/json_line.h"
#include "format/safetensors.h"
#include "vectors/npy.h"
#include "vectors/output_format.h"
#include "vectors/parquet_vectors.h"

namespace mlxe {
namespace {

constexpr std::array<std::string_view, 4> kVectorFormats{"npy", "jsonl", "parquet",
                                                         "safetensors"};  // in the order of VectorFormat

// A header with the number of rows, which is written again when that is known, and then the values.
class MatrixFile : public VectorFile {
 public:
  MatrixFile(const std::filesystem::path& path, VectorFormat format, Dtype dtype, int64_t columns,
             VectorRows rows)
      : file_(path), format_(format), dtype_(dtype), columns_(columns) {
    if (rows == VectorRows::chunks) places_.emplace();
    file_.write(header());
  }

  void append(const PackedVectors& vectors, std::span<const Chunk> chunks) override {
    file_.write(vectors.values);
    if (places_) places_->add(chunks);
    rows_ += vectors.rows;
  }
  void finish() override {
    if (places_) places_->give(file_);
    file_.rewrite_start(header());
    file_.finish();
  }
  bool is_standard_output() const noexcept override { return file_.is_standard_output(); }

 private:
  // The places of chunks, which come after the vectors. They wait in temporary files.
  class Places {
   public:
    void add(std::span<const Chunk> chunks) {
      std::vector<int64_t> texts, begins, ends;
      for (const Chunk& c : chunks) {
        texts.push_back(static_cast<int64_t>(c.text));
        begins.push_back(c.begin);
        ends.push_back(c.end);
      }
      text_.write(std::as_bytes(std::span(texts)));
      begin_.write(std::as_bytes(std::span(begins)));
      end_.write(std::as_bytes(std::span(ends)));
    }
    void give(OutputFile& file) {
      for (SpoolFile* column : {&text_, &begin_, &end_})
        column->read_all([&](std::span<const std::byte> bytes) { file.write(bytes); });
    }

   private:
    SpoolFile text_, begin_, end_;
  };

  std::string header() const {
    return format_ == VectorFormat::npy ? npy_header(dtype_, rows_, columns_) : safetensors_header();
  }

  std::string safetensors_header() const {
    constexpr size_t kBytes = 512;  // a multiple of 8 with room for any number of rows
    const int64_t vectors = rows_ * columns_ * static_cast<int64_t>(size_of(dtype_)),
                  place = rows_ * static_cast<int64_t>(sizeof(int64_t));
    std::string text =
        fmt::format("{{\"embeddings\":{{\"dtype\":\"{}\",\"shape\":[{},{}],\"data_offsets\":[0,{}]}}",
                    mlxe::name(dtype_), rows_, columns_, vectors);
    if (places_) {
      int64_t begin = vectors;
      for (const char* name : {"text", "begin", "end"}) {
        text += fmt::format(",\"{}\":{{\"dtype\":\"I64\",\"shape\":[{}],\"data_offsets\":[{},{}]}}", name,
                            rows_, begin, begin + place);
        begin += place;
      }
    }
    text += '}';
    text.resize(kBytes, ' ');
    std::string length(8, '\0');
    length[0] = static_cast<char>(kBytes & 0xff);
    length[1] = static_cast<char>(kBytes >> 8);
    return length + text;
  }

  OutputFile file_;
  VectorFormat format_;
  Dtype dtype_;
  int64_t columns_;
  std::optional<Places> places_;
  int64_t rows_ = 0;
};

class LinesFile : public VectorFile {
 public:
  explicit LinesFile(const std::filesystem::path& path) : file_(path) {}

  void append(const PackedVectors& vectors, std::span<const Chunk> chunks) override {
    for (int64_t i = 0; i < vectors.rows; ++i) file_.write(json_line(json_row(rows_++, vectors, chunks, i)));
  }
  void finish() override { file_.finish(); }
  bool is_standard_output() const noexcept override { return file_.is_standard_output(); }

 private:
  OutputFile file_;
  int64_t rows_ = 0;
};

}  // namespace

std::string_view name(VectorFormat format) noexcept {
  return kVectorFormats[static_cast<size_t>(format)];
}

VectorFormat vector_format(const std::filesystem::path& path, const std::string& format) {
  return static_cast<VectorFormat>(output_format(path, format, kVectorFormats));
}

std::unique_ptr<VectorFile> open_vector_file(const std::filesystem::path& path, VectorFormat format,
                                             Dtype dtype, int64_t columns, VectorRows rows) {
  if (format == VectorFormat::jsonl) return std::make_unique<LinesFile>(path);
  if (format == VectorFormat::parquet) return open_parquet_vectors(path, dtype, columns, rows);
  return std::make_unique<MatrixFile>(path, format, dtype, columns, rows);
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

nlohmann::json json_row(int64_t index, const PackedVectors& vectors, std::span<const Chunk> chunks,
                        int64_t row) {
  nlohmann::json object{{"index", index}, {"embedding", json_values(vectors, row)}};
  if (chunks.empty()) return object;
  const Chunk& chunk = chunks[static_cast<size_t>(row)];
  object.update({{"text", chunk.text},
                 {"chunk", chunk.index},
                 {"begin", chunk.begin},
                 {"end", chunk.end},
                 {"tokens", chunk.tokens}});
  return object;
}

}  // namespace mlxe
