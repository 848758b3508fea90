#include "texts.h"

#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <utility>

#include "arguments.h"
#include "base/text.h"
#include "command.h"
#include "format/json_file.h"
#include "mlx_encoder/error.h"
#include "model_names.h"

namespace mlxe::cli {

std::string CellRow::text_of(const std::string& column) const {
  const auto& cell = cells_.at(column);
  if (!cell.is_string())
    throw Error(ErrorCode::format, fmt::format("{}: {} is not a string", where_, printable(column)));
  return cell.get<std::string>();
}

std::optional<std::string> CellRow::text(std::span<const char* const> columns) const {
  for (const char* column : columns)
    if (has(column)) return text_of(column);
  return std::nullopt;
}

std::vector<std::string> CellRow::list(const std::string& column) const {
  const auto& cell = cells_.at(column);
  if (!cell.is_array() || !std::ranges::all_of(cell, [](const auto& text) { return text.is_string(); }))
    throw Error(ErrorCode::format, fmt::format("{}: {} is not a list of strings", where_, printable(column)));
  return cell.get<std::vector<std::string>>();
}

std::vector<std::string> CellRow::numbered(std::string_view prefix) const {
  std::vector<std::string> texts;
  for (const auto& [column, cell] : cells_.items())
    if (column.size() > prefix.size() && column.starts_with(prefix) &&
        column.find_first_not_of("0123456789", prefix.size()) == column.npos)
      texts.push_back(text_of(column));
  return texts;
}

void TextSource::add_to(CLI::App& command, bool rows_of_cells) {
  command.add_option("text", arguments, "Texts");
  command.add_option(
      "-i,--input", input,
      fmt::format("File of texts ({}), or - for standard input",
                  rows_of_cells ? ".txt, .tsv, .jsonl, .parquet" : ".txt, .tsv, .jsonl, .parquet, .conll"));
  command.add_option(
      "--input-format", format,
      fmt::format("{} [by the file's ending, else txt]",
                  rows_of_cells ? "txt, tsv, jsonl or parquet" : "txt, tsv, jsonl, parquet or conll"));
  if (!rows_of_cells)
    command.add_option("--text-column", text_column,
                       "The column of the texts [text, sentence, query, premise, ...]");
}

std::string TextSource::where() const {
  return input == "-" ? "standard input" : input;
}

bool TextSource::is_folder() const {
  std::error_code error;
  if (!input.empty() && input != "-" &&
      std::filesystem::status(input, error).type() == std::filesystem::file_type::not_found)
    throw Error(ErrorCode::not_found, input + ": no such file or folder");
  return arguments.empty() && std::filesystem::is_directory(input, error);
}

void TextSource::say_named_files(const Warning& warning) const {
  for (const std::string& text : arguments) {
    std::error_code error;
    if (is_text_file(text) && std::filesystem::is_regular_file(text, error))
      warning(
          fmt::format("the text \"{}\" is the name of a file; --input {} reads the texts in it", text, text));
  }
}

bool TextSource::from_arguments() const {
  if (input.empty()) {
    if (arguments.empty())
      throw Error(ErrorCode::usage, "no texts were given; add texts or --input FILE (- for standard input)");
    if (std::ranges::find(arguments, "-") != arguments.end())
      throw Error(
          ErrorCode::usage,
          "a text is \"-\"; --input - reads texts from standard input, and --input FILE holds a text of one "
          "dash");
    if (!format.empty())
      throw Error(ErrorCode::usage,
                  "--input-format applies to a file of texts; add --input FILE, or leave it out");
    if (!text_column.empty())
      throw Error(ErrorCode::usage,
                  "--text-column applies to a file of texts; add --input FILE, or leave it out");
    return true;
  }
  if (!arguments.empty())
    throw Error(ErrorCode::usage, "texts were given both as arguments and with --input; give one of the two");
  return false;
}

void TextSource::read_rows(const std::vector<std::string>& columns, const Warning& warning,
                           const std::function<void(TextRow)>& take) const {
  if (from_arguments()) {
    say_named_files(warning);
    for (size_t i = 0; i < arguments.size(); ++i)
      take({{arguments[i], std::nullopt}, std::vector<std::optional<std::string>>(columns.size()), i + 1});
    return;
  }
  TextFileOptions options{.format = format, .columns = columns, .text_column = text_column};
  if (input == "-" && format.empty()) options.format = "txt";
  if (input == "-")
    read_text_rows(std::cin, where(), options, take, warning);
  else
    read_text_rows(std::filesystem::path(input), options, take, warning);
}

void TextSource::read_cells(const std::function<void(const CellRow&)>& take) const {
  if (from_arguments()) {
    for (size_t i = 0; i < arguments.size(); ++i)
      take(CellRow({i + 1, 0, {{"text", arguments[i]}}}, fmt::format("text {}", i + 1)));
    return;
  }
  const auto take_row = [&](const mlxe::Row& row) {
    take(CellRow(row, fmt::format("{}: {} {}", where(), row.unit, row.line)));
    return true;
  };
  if (input == "-")
    mlxe::read_rows(std::cin, where(), row_format(where(), format.empty() ? "txt" : format), take_row);
  else
    mlxe::read_rows(std::filesystem::path(input), format, take_row);
}

void TextSource::read(size_t size, const Warning& warning,
                      const std::function<void(std::vector<TextInput>)>& window, size_t bytes) const {
  std::vector<TextInput> texts;
  size_t held = 0;  // bytes of the texts
  read_rows({}, warning, [&](TextRow row) {
    held += row.input.text.size();
    texts.push_back(std::move(row.input));
    if (texts.size() < size && held < bytes) return;
    held = 0;
    window(std::exchange(texts, {}));
  });
  if (!texts.empty()) window(std::move(texts));
}

void PairOption::add_to(CLI::App& command, const std::string& description) {
  option = command.add_option("--pair", text, description);
}

void PairOption::apply(std::vector<TextInput>& texts, size_t first_text) const {
  if (option->count() == 0) return;
  for (size_t i = 0; i < texts.size(); ++i) {
    if (texts[i].pair)
      throw Error(ErrorCode::usage,
                  fmt::format("text {} has a second text of its own; leave --pair out", first_text + i + 1));
    texts[i].pair = text;
  }
}

std::vector<std::string> single_texts(std::vector<TextInput> texts, size_t first_text,
                                      const std::string& command) {
  std::vector<std::string> single;
  for (TextInput& t : texts) {
    if (t.pair)
      throw Error(ErrorCode::usage, fmt::format("text {} is a pair; {} takes single texts (a file of pairs "
                                                "is for classify, rerank, similarity, "
                                                "compare)",
                                                first_text + single.size() + 1, command));
    single.push_back(std::move(t.text));
  }
  return single;
}

void RunOptions::add_to(CLI::App& command) {
  command.add_option("model", folder, "Model: " + kModelForms)->required();
  command.add_option("--engine", engine, "auto (mlx where it has a GPU, else cpu), mlx or cpu")
      ->capture_default_str();
  command
      .add_option("--activations", activations,
                  "auto, int8 (fast), bf16 (near exact) or f32 (exact): type of the cpu engine's activations "
                  "in matrix products")
      ->capture_default_str();
  command.add_option("--threads", threads, "Threads of the cpu engine; 0: all cores")->check(at_least(0));
  command
      .add_option("--max-length", max_length,
                  "Most tokens of a text; longer texts are truncated, with a warning")
      ->check(at_least(1));
  command.add_flag(
      "--allow-unknown", allow_unknown,
      "Run a model whose layers have tensors that its architecture does not have; they are ignored");
  command.add_flag("--strict", strict, "Warnings are errors");
  command.add_flag("--json", json, "Machine-readable output, one object a line");
}

void RunOptions::add_pooling_to(CLI::App& command) {
  command.add_option("--pooling", splade_pooling,
                     "max (SPLADE v2 and later) or sum: SPLADE's pooling, if the model's folder states none");
}

void PromptOptions::add_to(CLI::App& command) {
  command.add_option("--prompt-name", name, "Prompt of config_sentence_transformers.json, e.g. query");
  literal = command.add_option("--prompt", text, "Literal text to put before each text");
  command.add_flag("--query", query,
                   "The texts are queries: use the model's prompt and route for queries, if any");
  command.add_flag("--document", document,
                   "The texts are documents: use the model's prompt and route for documents, if any");
}

void PromptOptions::require_one_task() const {
  if (query && document)
    throw Error(ErrorCode::usage, "--query and --document were given; a text is one of the two");
}

Encoder RunOptions::load(Use use) const {
  const Warning warning = this->warning();
  tell_changed_files(folder, strictness(), warning);
  return Encoder::load(folder, {.engine = parse_engine(engine),
                                .activations = parse_activations(activations),
                                .threads = threads,
                                .max_length = max_length,
                                .splade_pooling = splade_pooling,
                                .embeds = use == Use::any,
                                .allow_unknown = allow_unknown,
                                .warning = warning});
}

}  // namespace mlxe::cli
