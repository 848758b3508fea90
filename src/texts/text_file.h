// Files of texts, with or without further columns.
//
// Formats, by the file's ending:
//   .txt    a text a line
//   .tsv    tab-separated with a header line; columns `text` (or `sentence`, `query`, `premise`, `sentence1`,
//           `text1`, else the first) and, if there, `text_pair` (or `passage`, `hypothesis`, `sentence2`,
//           `text2`)
//   .jsonl  a JSON string a line, or an object with such keys
//   .conll  a tagged word a line (conll_file.h): the words of a sentence with spaces between
#pragma once

#include <filesystem>
#include <functional>
#include <iosfwd>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "mlx_encoder/types.h"

namespace mlxe {

// One text, and the cells of the requested columns. A cell is empty if the row does not have it. (Only .tsv files and
// .jsonl objects have further columns.)
struct TextRow {
  TextInput input;
  std::vector<std::optional<std::string>> cells;
  size_t line = 0;  // from 1
};

// Calls `take` with each text in order. `format` is "txt", "tsv", "jsonl" or "conll", of a file empty: by its
// ending; `where` names a stream in messages. Errors: usage (another format, no texts at all), not_found, io,
// format (a malformed row, named by line). Warns of a .tsv file without a known column, whose first
// column is then taken.
void read_text_rows(std::istream& stream, const std::string& format, const std::string& where,
                    std::span<const std::string> columns, const std::function<void(TextRow)>& take,
                    const Warning& warning);
void read_text_rows(const std::filesystem::path& file, const std::string& format,
                    std::span<const std::string> columns, const std::function<void(TextRow)>& take,
                    const Warning& warning);

// The texts of a file alone. Errors and warnings: the same.
std::vector<TextInput> read_texts(const std::filesystem::path& file, const Warning& warning);

// Appends each warning to `sentences`, which must outlive the result.
Warning collected_in(std::vector<std::string>& sentences);

}  // namespace mlxe
