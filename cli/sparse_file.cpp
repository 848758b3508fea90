#include "sparse_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <span>
#include <string_view>
#include <utility>

#include "base/output_file.h"
#include "format/safetensors.h"
#include "npz.h"
#include "print_json.h"
#include "spooled_rows.h"
#include "vectors/output_format.h"

namespace mlxe::cli {
namespace {

constexpr std::array<std::string_view, 3> kSparseFormats{"npz", "jsonl",
                                                         "safetensors"};  // in the order of SparseFormat

void append_rows(SpooledRows& rows, const SparseVectors& vectors) {
  rows.append(vectors.offsets, std::as_bytes(std::span(vectors.indices)),
              std::as_bytes(std::span(vectors.values)));
}

class SciPyFile : public SparseFile {
 public:
  SciPyFile(const std::filesystem::path& path, int64_t columns) : file_(path), columns_(columns) {}

  void append(const SparseVectors& vectors) override { append_rows(matrix_, vectors); }
  void finish() override {
    const auto write = [&](std::span<const std::byte> bytes) { file_.write(bytes); };
    file_.begin("indices", "<i4", fmt::format("({},)", matrix_.count()));
    matrix_.give_first(write);
    file_.begin("indptr", "<i8", fmt::format("({},)", matrix_.rows() + 1));
    file_.write(matrix_.offsets());
    file_.begin("format", "|S3", "()");
    file_.write(std::as_bytes(std::span("csr", 3)));
    file_.begin("shape", "<i8", "(2,)");
    const std::array<int64_t, 2> shape{matrix_.rows(), columns_};
    file_.write(std::as_bytes(std::span(shape)));
    file_.begin("data", "<f4", fmt::format("({},)", matrix_.count()));
    matrix_.give_second(write);
    file_.finish();
  }
  bool is_standard_output() const noexcept override { return file_.is_standard_output(); }

 private:
  NpzFile file_;
  int64_t columns_;
  SpooledRows matrix_;  // indices and values
};

class SafetensorsMatrix : public SparseFile {
 public:
  SafetensorsMatrix(std::filesystem::path path, int64_t columns) : path_(std::move(path)), columns_(columns) {
    require_writable(path_);
  }

  void append(const SparseVectors& vectors) override { append_rows(matrix_, vectors); }
  void finish() override {
    SafetensorsWriter file(
        path_,
        {{.name = "indptr", .dtype = Dtype::i64, .shape = {matrix_.rows() + 1}},
         {.name = "indices", .dtype = Dtype::i32, .shape = {matrix_.count()}},
         {.name = "values", .dtype = Dtype::f32, .shape = {matrix_.count()}}},
        {{"format", "csr"}, {"rows", std::to_string(matrix_.rows())}, {"columns", std::to_string(columns_)}},
        Placement::replace);
    file.write("indptr", matrix_.offsets());
    matrix_.give_first([&](std::span<const std::byte> bytes) { file.write("indices", bytes); });
    matrix_.give_second([&](std::span<const std::byte> bytes) { file.write("values", bytes); });
    file.finish();
    is_standard_output_ = file.is_standard_output();
  }
  bool is_standard_output() const noexcept override { return is_standard_output_; }

 private:
  std::filesystem::path path_;
  int64_t columns_;
  SpooledRows matrix_;               // indices and values
  bool is_standard_output_ = false;  // known once the file is written
};

class TermLines : public SparseFile {
 public:
  TermLines(const std::filesystem::path& path, TokenOf token) : file_(path), token_(std::move(token)) {}

  void append(const SparseVectors& vectors) override {
    for (int64_t i = 0; i < vectors.rows; ++i) file_.write(json_line(json_of(vectors, i, rows_++, token_)));
  }
  void finish() override { file_.finish(); }
  bool is_standard_output() const noexcept override { return file_.is_standard_output(); }

 private:
  OutputFile file_;
  TokenOf token_;
  int64_t rows_ = 0;
};

}  // namespace

SparseFormat sparse_format(const std::filesystem::path& path, const std::string& format) {
  return static_cast<SparseFormat>(output_format(path, format, kSparseFormats));
}

std::vector<Term> terms_of(const SparseVectors& vectors, int64_t row) {
  std::vector<Term> terms;
  const auto ids = vectors.row_indices(row);
  const auto weights = vectors.row_values(row);
  for (size_t i = 0; i < ids.size(); ++i) terms.push_back({ids[i], weights[i]});
  std::ranges::stable_sort(terms, std::greater{}, &Term::weight);
  return terms;
}

nlohmann::json json_of(const SparseVectors& vectors, int64_t row, int64_t index, const TokenOf& token) {
  nlohmann::json ids = nlohmann::json::array(), weights = ids, tokens = ids;
  for (const Term& t : terms_of(vectors, row)) {
    ids.push_back(t.id);
    weights.push_back(t.weight);
    tokens.push_back(token(t.id));
  }
  return {{"index", index}, {"indices", ids}, {"values", weights}, {"tokens", tokens}};
}

std::unique_ptr<SparseFile> open_sparse_file(const std::filesystem::path& path, SparseFormat format,
                                             int64_t columns, TokenOf token) {
  switch (format) {
    case SparseFormat::npz:
      return std::make_unique<SciPyFile>(path, columns);
    case SparseFormat::safetensors:
      return std::make_unique<SafetensorsMatrix>(path, columns);
    case SparseFormat::jsonl:
      break;
  }
  return std::make_unique<TermLines>(path, std::move(token));
}

}  // namespace mlxe::cli
