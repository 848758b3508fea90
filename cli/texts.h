// The texts of a command: arguments, a file or standard input, read one window at a time.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "command.h"
#include "encoder/text_batches.h"
#include "mlx_encoder/encoder.h"
#include "texts/row_file.h"
#include "texts/text_file.h"

namespace mlxe::cli {

// Most texts in memory at a time: whole windows of a run.
inline constexpr size_t kWindow = 2 * kResultBatches.window;
// The same where each token has a vector.
inline constexpr size_t kTokenWindow = kWindow / 16;

// A row with cells of several kinds, for commands that take more than a text and its pair.
class CellRow {
 public:
  CellRow(const mlxe::Row& row, std::string where) : cells_(row.cells), where_(std::move(where)) {}

  const std::string& where() const { return where_; }  // for messages: "questions.tsv: line 3", "text 2"
  // Errors of the others: format (a cell of another type).
  bool has(std::string_view column) const { return cells_.contains(column); }
  // The first of the columns that is there.
  std::optional<std::string> text(std::span<const char* const> columns) const;
  std::vector<std::string> list(const std::string& column) const;  // of strings
  std::vector<std::string> numbered(
      std::string_view prefix) const;  // choice1, choice2, ..., in the row's order

 private:
  std::string text_of(const std::string& column) const;

  const nlohmann::ordered_json& cells_;
  std::string where_;
};

// Formats: src/texts/text_file.h; standard input: --input-format, else lines.
struct TextSource {
  std::vector<std::string> arguments;
  std::string input;   // file, or "-"
  std::string format;  // "txt", "tsv", "jsonl", "parquet", "conll"; empty: by ending
  std::string text_column;

  // `rows_of_cells`: read_cells() will read them.
  void add_to(CLI::App& command, bool rows_of_cells = false);

  std::string where() const;  // name of the input, for messages
  bool is_folder() const;     // whether --input is one; errors: not_found

  // Calls `take` with each text in order. Errors: usage (no texts), not_found, io, format (a malformed row,
  // with its line). Warns of a .tsv file without a column of a known name.
  void read_rows(const std::vector<std::string>& columns, const Warning& warning,
                 const std::function<void(TextRow)>& take) const;

  // Calls `take` with the rows in order; an argument is a row with the cell "text". Errors: as read_rows.
  void read_cells(const std::function<void(const CellRow&)>& take) const;

  // Calls `window` with the texts in order, up to `size` at a time. A window also ends with the text that makes it
  // `bytes` long.
  void read(size_t size, const Warning& warning, const std::function<void(std::vector<TextInput>)>& window,
            size_t bytes = std::numeric_limits<size_t>::max()) const;

 private:
  void say_named_files(const Warning& warning) const;
  bool from_arguments() const;  // else from `input`; errors: usage (both, none)
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

// Options of commands that put a prompt before each text.
struct PromptOptions {
  std::string name, text;
  CLI::Option* literal = nullptr;
  bool query = false, document = false;

  void add_to(CLI::App& command);
  // `options`: EmbedOptions or alike. Errors: usage (a text is said to be both a query and a document).
  template <class Options>
  void apply(Options& options) const {
    require_one_task();
    options.prompt_name = name;
    if (literal->count()) options.prompt = text;
    if (query) options.task = EmbedTask::query;
    if (document) options.task = EmbedTask::document;
  }

 private:
  void require_one_task() const;
};

// Options of every command that runs a model.
struct RunOptions {
  std::filesystem::path folder;
  std::string engine = "auto";
  std::string activations = "auto";
  int threads = 0;
  int64_t max_length = 0;
  bool allow_unknown = false;
  bool strict = false;
  bool json = false;
  std::string splade_pooling;

  void add_to(CLI::App& command);
  void add_pooling_to(CLI::App& command);  // of commands that compute sparse vectors
  Strictness strictness() const { return strict ? Strictness::strict : Strictness::warn; }
  Warning warning() const { return warnings(strictness()); }
  // Use::no_vectors: the command does not call embed().
  enum class Use { any, no_vectors };
  Encoder load(Use use = Use::any) const;
};

}  // namespace mlxe::cli
