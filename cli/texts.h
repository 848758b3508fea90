// Where a command's texts come from: arguments, a file or standard input, read a window at a time.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "mlx_encoder/encoder.h"

namespace mlxe::cli {

// One text and, of the columns asked for, what its row holds: nothing where it has no such cell (a .tsv
// file's header, a .jsonl object's strings and numbers; other formats have none).
struct TextRow {
  TextInput input;
  std::vector<std::optional<std::string>> cells;
  size_t line = 0;  // from 1
};

// Formats, by the file's ending (standard input: --input-format, else lines):
//   .txt    a text a line
//   .tsv    tab-separated with a header line; columns `text` (or `sentence`, `query`, else the first) and, if
//           there, `text_pair` (or `passage`)
//   .jsonl  a JSON string a line, or an object with "text" and, if there, "text_pair"
struct TextSource {
  std::vector<std::string> arguments;
  std::string input;   // file, or "-"
  std::string format;  // "txt", "tsv", "jsonl"; empty: by ending

  void add_to(CLI::App& command);

  std::string where() const;  // the input's name in messages

  // Calls `take` with each text in order. Errors: usage (no texts at all), not_found, io, format (a malformed
  // row, named by line).
  void read_rows(const std::vector<std::string>& columns, const std::function<void(TextRow)>& take) const;

  // The texts alone, up to `size` at a time.
  void read(size_t size, const std::function<void(std::vector<TextInput>)>& window) const;
};

// Options every command that runs a model has.
struct RunOptions {
  std::filesystem::path folder;
  std::string engine = "auto";
  std::string activations = "auto";
  int threads = 0;
  int64_t max_length = 0;
  bool strict = false;
  bool json = false;

  void add_to(CLI::App& command);
  Encoder load() const;
};

}  // namespace mlxe::cli
