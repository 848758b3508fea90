// Files of texts: .txt, .tsv, .jsonl and CoNLL lines give rows of UTF-8 in the order of their lines, or one
// Error. The input is a byte that chooses the format, then the file.
#include <sstream>

#include "fuzz_input.h"
#include "texts/conll_file.h"
#include "texts/text_file.h"

using mlxe::fuzz::expect_result_or_error;
using mlxe::fuzz::require;

namespace {

constexpr const char* kFormats[] = {"txt", "tsv", "jsonl", "conll"};

void require_utf8(std::string_view text) {
  require(mlxe::first_invalid_utf8(text) == mlxe::kValidUtf8);
}

void read_texts(const std::string& file, const char* format) {
  const std::vector<std::string> columns{"label", "score", "text"};
  std::istringstream stream(file);
  size_t line = 0, rows = 0;
  mlxe::read_text_rows(
      stream, "file", {.format = format, .columns = columns},
      [&](const mlxe::TextRow& row) {
        ++rows;
        require(row.line > line && row.cells.size() == columns.size());
        line = row.line;
        require_utf8(row.input.text);
        if (row.input.pair) require_utf8(*row.input.pair);
        for (const auto& cell : row.cells)
          if (cell) require_utf8(*cell);
      },
      [](std::string_view sentence) { require_utf8(sentence); });
  require(rows > 0 || std::string_view(format) == "tsv");  // a header alone
}

void read_sentences(const std::string& file) {
  std::istringstream stream(file);
  size_t line = 0;
  mlxe::read_conll(stream, "file", [&](const mlxe::ConllSentence& sentence) {
    require(!sentence.words.empty());
    require(sentence.words.size() == sentence.tags.size() && sentence.words.size() == sentence.lines.size());
    for (size_t i = 0; i < sentence.words.size(); ++i) {
      require(!sentence.words[i].empty() && !sentence.tags[i].empty() && sentence.lines[i] > line);
      line = sentence.lines[i];
    }
    return true;
  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string file(reinterpret_cast<const char*>(data) + 1, size - 1);
  const char* format = kFormats[data[0] % std::size(kFormats)];
  expect_result_or_error([&] { read_texts(file, format); });
  if (std::string_view(format) == "conll") expect_result_or_error([&] { read_sentences(file); });
  return 0;
}
