#include "token_file.h"

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

constexpr std::array<std::string_view, 3> kTokenFormats{"safetensors", "npz",
                                                        "jsonl"};  // in the order of TokenFormat

// Vectors that wait until the number of all is known.
class WaitingTokens : public TokenFile {
 public:
  void append(const TokenVectors& vectors) override {
    columns_ = vectors.columns;
    rows_.append(vectors.offsets, std::as_bytes(std::span(vectors.ids)),
                 std::as_bytes(std::span(vectors.values)));
  }

 protected:
  SpooledRows rows_;
  int64_t columns_ = 0;
};

class NumPyTokens : public WaitingTokens {
 public:
  explicit NumPyTokens(const std::filesystem::path& path) : file_(path) {}

  void finish() override {
    const auto write = [&](std::span<const std::byte> bytes) { file_.write(bytes); };
    file_.begin("offsets", "<i8", fmt::format("({},)", rows_.rows() + 1));
    file_.write(rows_.offsets());
    file_.begin("ids", "<i4", fmt::format("({},)", rows_.count()));
    rows_.give_first(write);
    file_.begin("embeddings", "<f4", fmt::format("({}, {})", rows_.count(), columns_));
    rows_.give_second(write);
    file_.finish();
  }
  bool is_standard_output() const noexcept override { return file_.is_standard_output(); }

 private:
  NpzFile file_;
};

class SafetensorsTokens : public WaitingTokens {
 public:
  explicit SafetensorsTokens(std::filesystem::path path) : path_(std::move(path)) { require_writable(path_); }

  void finish() override {
    SafetensorsWriter file(path_,
                           {{.name = "offsets", .dtype = Dtype::i64, .shape = {rows_.rows() + 1}},
                            {.name = "ids", .dtype = Dtype::i32, .shape = {rows_.count()}},
                            {.name = "embeddings", .dtype = Dtype::f32, .shape = {rows_.count(), columns_}}},
                           {});
    file.write("offsets", rows_.offsets());
    rows_.give_first([&](std::span<const std::byte> bytes) { file.write("ids", bytes); });
    rows_.give_second([&](std::span<const std::byte> bytes) { file.write("embeddings", bytes); });
    file.finish();
    is_standard_output_ = file.is_standard_output();
  }
  bool is_standard_output() const noexcept override { return is_standard_output_; }

 private:
  std::filesystem::path path_;
  bool is_standard_output_ = false;
};

class TokenLines : public TokenFile {
 public:
  TokenLines(const std::filesystem::path& path, TokenOf token) : file_(path), token_(std::move(token)) {}

  void append(const TokenVectors& vectors) override {
    for (int64_t i = 0; i < vectors.texts(); ++i)
      file_.write(json_line(json_of(vectors, i, texts_++, token_)));
  }
  void finish() override { file_.finish(); }
  bool is_standard_output() const noexcept override { return file_.is_standard_output(); }

 private:
  OutputFile file_;
  TokenOf token_;
  int64_t texts_ = 0;
};

}  // namespace

TokenFormat token_format(const std::filesystem::path& path, const std::string& format) {
  return static_cast<TokenFormat>(output_format(path, format, kTokenFormats));
}

nlohmann::json json_of(const TokenVectors& vectors, int64_t i, int64_t index, const TokenOf& token) {
  nlohmann::json ids = nlohmann::json::array(), tokens = ids, rows = ids;
  const auto columns = static_cast<size_t>(vectors.columns);
  for (int64_t row = vectors.offsets[static_cast<size_t>(i)];
       row < vectors.offsets[static_cast<size_t>(i) + 1]; ++row) {
    const int32_t id = vectors.ids[static_cast<size_t>(row)];
    const auto values = std::span(vectors.values).subspan(static_cast<size_t>(row) * columns, columns);
    ids.push_back(id);
    tokens.push_back(token(id));
    rows.push_back(std::vector<float>(values.begin(), values.end()));
  }
  return {{"index", index}, {"ids", ids}, {"tokens", tokens}, {"vectors", rows}};
}

std::unique_ptr<TokenFile> open_token_file(const std::filesystem::path& path, TokenFormat format,
                                           TokenOf token) {
  switch (format) {
    case TokenFormat::npz:
      return std::make_unique<NumPyTokens>(path);
    case TokenFormat::safetensors:
      return std::make_unique<SafetensorsTokens>(path);
    case TokenFormat::jsonl:
      break;
  }
  return std::make_unique<TokenLines>(path, std::move(token));
}

}  // namespace mlxe::cli
