// The texts of a command: arguments, a file or standard input, read one window at a time.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "command.h"
#include "encoder/text_batches.h"
#include "mlx_encoder/encoder.h"
#include "texts/text_file.h"

namespace mlxe::cli {

// Most texts in memory at a time: whole windows of a run.
inline constexpr size_t kWindow = 2 * kResultBatches.window;

// Formats: src/texts/text_file.h; standard input: --input-format, else lines.
struct TextSource {
  std::vector<std::string> arguments;
  std::string input;   // file, or "-"
  std::string format;  // "txt", "tsv", "jsonl", "conll"; empty: by ending

  void add_to(CLI::App& command);

  std::string where() const;  // name of the input, for messages

  // Calls `take` with each text in order. Errors: usage (no texts), not_found, io, format (a malformed row,
  // with its line). Warns of a .tsv file without a column of a known name.
  void read_rows(const std::vector<std::string>& columns, const Warning& warning,
                 const std::function<void(TextRow)>& take) const;

  // Calls `window` with the texts in order, up to `size` at a time. A window also ends with the text that makes it
  // `bytes` long.
  void read(size_t size, const Warning& warning, const std::function<void(std::vector<TextInput>)>& window,
            size_t bytes = std::numeric_limits<size_t>::max()) const;
};

// Of a command that takes no pairs. `first_text`: the number of the texts before these. Errors: usage (a pair).
std::vector<std::string> single_texts(std::vector<TextInput> texts, size_t first_text,
                                      const std::string& command);

// --pair TEXT: the second text for every input text. An empty TEXT is a second text, too, like an empty
// text_pair in a file.
struct PairOption {
  std::string text;
  CLI::Option* option = nullptr;

  void add_to(CLI::App& command, const std::string& description);
  // Errors: usage (a text has a second text already).
  void apply(std::vector<TextInput>& texts, size_t first_text) const;
};

// Options of every command that runs a model.
struct RunOptions {
  std::filesystem::path folder;
  std::string engine = "auto";
  std::string activations = "auto";
  int threads = 0;
  int64_t max_length = 0;
  bool strict = false;
  bool json = false;

  void add_to(CLI::App& command);
  Strictness strictness() const { return strict ? Strictness::strict : Strictness::warn; }
  Warning warning() const { return warnings(strictness()); }
  // Use::no_vectors: the command does not call embed().
  enum class Use { any, no_vectors };
  Encoder load(Use use = Use::any) const;
};

}  // namespace mlxe::cli
