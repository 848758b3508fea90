// Files of texts, with or without further columns.
//
// Formats, by the file's ending:
//   .txt    a text a line
//   .tsv    tab-separated with a header line; columns `text` (or `sentence`, `query`, `premise`, `sentence1`,
//           `text1`, else the first) and, if there, `text_pair` (or `passage`, `hypothesis`, `sentence2`,
//           `text2`)
//   .jsonl  a JSON string a line, or an object with such keys
//   .parquet  such columns; others are not read
//   .conll  a tagged word a line (conll_file.h): the words of a sentence with spaces between
#pragma once

#include <array>
#include <filesystem>
#include <functional>
#include <iosfwd>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "mlx_encoder/types.h"
#include "texts/row_file.h"

namespace mlxe {

// Endings of the files that are read as texts without a format's name.
inline constexpr std::array kTextFileEndings{".txt", ".tsv", ".jsonl", ".parquet", ".conll"};
bool is_text_file(const std::filesystem::path& file);  // by its ending
bool has_columns(const std::filesystem::path& file);   // likewise

// One text, and the cells of the requested columns. A cell is empty if the row does not have it. (Only .tsv and .parquet
// files and .jsonl objects have further columns.)
struct TextRow {
  TextInput input;
  std::vector<std::optional<std::string>> cells;
  size_t line = 0;            // from 1
  uint64_t past = 0;          // bytes of the file up to the end of the row, about; 0: not known
  const char* unit = "line";  // as Row::unit
};

struct TextFileOptions {
  std::string format;  // "txt", "tsv", "jsonl", "parquet" or "conll"; of a file, empty: by its ending
  std::vector<std::string> columns;  // whose cells a TextRow has
  std::string text_column;           // of the texts, and no column is their pair; empty: one of a usual name
  IfEmpty if_empty = IfEmpty::refuse;
};

// Calls `take` with each text in order. `where` names a stream in messages. Errors: usage (another format; no texts at
// all, with IfEmpty::refuse; a text column of a format without columns), not_found, io, format (a malformed row, named by
// line; a Parquet file without a column of a usual name), unsupported (Parquet's compression). Warns of a .tsv file without a known column, whose first column is then taken.
void read_text_rows(std::istream& stream, const std::string& where, const TextFileOptions& options,
                    const std::function<void(TextRow)>& take, const Warning& warning);
void read_text_rows(const std::filesystem::path& file, const TextFileOptions& options,
                    const std::function<void(TextRow)>& take, const Warning& warning);

// The texts of a file alone. Errors and warnings: the same.
std::vector<TextInput> read_texts(const std::filesystem::path& file, const Warning& warning);

// Appends each warning to `sentences`, which must outlive the result.
Warning collected_in(std::vector<std::string>& sentences);

}  // namespace mlxe
