// Files of texts without gold answers, or with columns a caller knows by name.
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

// One text and, of the columns asked for, what its row holds: nothing where it has no such cell (a .tsv
// file's header, a .jsonl object's strings and numbers; other formats have none).
struct TextRow {
  TextInput input;
  std::vector<std::optional<std::string>> cells;
  size_t line = 0;  // from 1
};

// Calls `take` with each text in order. `format` is "txt", "tsv", "jsonl" or "conll", of a file empty: by its
// ending; `where` names a stream in messages. Errors: usage (another format, no texts at all), not_found, io,
// format (a malformed row, named by line). `warning` hears of a .tsv file whose first column is taken for
// want of a known name.
void read_text_rows(std::istream& stream, const std::string& format, const std::string& where,
                    std::span<const std::string> columns, const std::function<void(TextRow)>& take,
                    const Warning& warning = {});
void read_text_rows(const std::filesystem::path& file, const std::string& format,
                    std::span<const std::string> columns, const std::function<void(TextRow)>& take,
                    const Warning& warning = {});

// The texts of a file alone. Errors: the same.
std::vector<TextInput> read_texts(const std::filesystem::path& file);

}  // namespace mlxe
