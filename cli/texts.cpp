#include "texts.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <span>
#include <utility>

#include "base/text.h"
#include "command.h"
#include "mlx_encoder/error.h"

namespace mlxe::cli {
namespace {

// Turns the lines of one format into rows.
class LineParser {
 public:
  LineParser(std::string format, std::string where, std::span<const std::string> columns)
      : format_(std::move(format)), where_(std::move(where)), wanted_(columns), found_(columns.size()) {
    if (format_ != "txt" && format_ != "tsv" && format_ != "jsonl")
      throw Error(ErrorCode::usage,
                  fmt::format("{}: the format \"{}\" is unknown; name a .txt, .tsv or .jsonl file or "
                              "give --input-format",
                              where_, format_));
  }

  // nothing for a header or an empty line of jsonl
  std::optional<TextRow> parse(std::string line, size_t number) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (format_ == "txt") return row(std::move(line), number);
    if (format_ == "tsv") return parse_tsv(line, number);
    return parse_json(line, number);
  }

 private:
  [[noreturn]] void malformed(size_t number, const std::string& what) const {
    throw Error(ErrorCode::format, fmt::format("{}: line {}: {}", where_, number, what));
  }

  TextRow row(std::string text, size_t number) const {
    return {{std::move(text), std::nullopt}, std::vector<std::optional<std::string>>(wanted_.size()), number};
  }

  std::optional<TextRow> parse_tsv(const std::string& line, size_t number) {
    std::vector<std::string> cells = split_tabs(line);
    if (columns_ == 0) {
      columns_ = cells.size();
      for (size_t i = 0; i < columns_; ++i) {
        if (cells[i] == "text" || cells[i] == "sentence" || cells[i] == "query") text_ = i;
        if (cells[i] == "text_pair" || cells[i] == "passage") pair_ = i;
        for (size_t k = 0; k < wanted_.size(); ++k)
          if (cells[i] == wanted_[k]) found_[k] = i;
      }
      return std::nullopt;
    }
    if (cells.size() != columns_)
      malformed(number, fmt::format("{} tab-separated cells, the header has {}", cells.size(), columns_));
    TextRow result = row(cells[text_], number);
    if (pair_) result.input.pair = cells[*pair_];
    for (size_t k = 0; k < wanted_.size(); ++k)
      if (found_[k]) result.cells[k] = cells[*found_[k]];
    return result;
  }

  std::optional<TextRow> parse_json(const std::string& line, size_t number) const {
    if (line.find_first_not_of(" \t") == std::string::npos) return std::nullopt;
    const auto value = nlohmann::json::parse(line, nullptr, false);
    if (value.is_string()) return row(value.get<std::string>(), number);
    const auto text = value.is_object() ? value.find("text") : value.end();
    if (!value.is_object() || text == value.end() || !text->is_string())
      malformed(number, R"(not a JSON string or an object with a "text" string)");
    TextRow result = row(text->get<std::string>(), number);
    if (const auto pair = value.find("text_pair"); pair != value.end()) {
      if (!pair->is_string()) malformed(number, R"("text_pair" is not a string)");
      result.input.pair = pair->get<std::string>();
    }
    for (size_t k = 0; k < wanted_.size(); ++k) {
      const auto cell = value.find(wanted_[k]);
      if (cell == value.end()) continue;
      if (cell->is_string()) result.cells[k] = cell->get<std::string>();
      if (cell->is_number()) result.cells[k] = cell->dump();
    }
    return result;
  }

  std::string format_, where_;
  size_t columns_ = 0, text_ = 0;
  std::optional<size_t> pair_;
  std::span<const std::string> wanted_;
  std::vector<std::optional<size_t>> found_;  // where a .tsv file has them
};

}  // namespace

void TextSource::add_to(CLI::App& command) {
  command.add_option("text", arguments, "Texts");
  command.add_option("-i,--input", input, "File of texts (.txt, .tsv, .jsonl), or - for standard input");
  command.add_option("--input-format", format, "txt, tsv or jsonl, where the file's ending does not say");
}

std::string TextSource::where() const {
  return input == "-" ? "standard input" : input;
}

void TextSource::read_rows(const std::vector<std::string>& columns,
                           const std::function<void(TextRow)>& take) const {
  if (input.empty()) {
    if (arguments.empty())
      throw Error(ErrorCode::usage, "no texts: give some, or --input FILE (- for standard input)");
    for (size_t i = 0; i < arguments.size(); ++i)
      take({{arguments[i], std::nullopt}, std::vector<std::optional<std::string>>(columns.size()), i + 1});
    return;
  }
  if (!arguments.empty())
    throw Error(ErrorCode::usage, "texts were given both as arguments and with --input; give one of the two");

  std::ifstream file;
  if (input != "-") {
    if (!std::filesystem::is_regular_file(input)) throw Error(ErrorCode::not_found, input + ": no such file");
    file.open(input);
    if (!file) throw Error(ErrorCode::io, input + ": can't be opened for reading");
  }
  std::istream& stream = input == "-" ? std::cin : file;
  const std::string ending = std::filesystem::path(input).extension().string();
  LineParser parser(!format.empty() ? format : ending.empty() ? "txt" : ending.substr(1), where(), columns);

  bool any = false;
  std::string line;
  for (size_t number = 1; std::getline(stream, line); ++number) {
    if (number == 1 && line.starts_with("\xEF\xBB\xBF")) line.erase(0, 3);
    auto row = parser.parse(std::move(line), number);
    if (!row) continue;
    any = true;
    take(*std::move(row));
  }
  if (stream.bad()) throw Error(ErrorCode::io, where() + ": reading failed");
  if (!any) throw Error(ErrorCode::usage, where() + ": holds no texts");
}

void TextSource::read(size_t size, const std::function<void(std::vector<TextInput>)>& window) const {
  std::vector<TextInput> texts;
  read_rows({}, [&](TextRow row) {
    texts.push_back(std::move(row.input));
    if (texts.size() == size) window(std::exchange(texts, {}));
  });
  if (!texts.empty()) window(std::move(texts));
}

void RunOptions::add_to(CLI::App& command) {
  command.add_option("model", folder, "Model folder")->required();
  command.add_option("--engine", engine, "auto (mlx where it has a GPU, else cpu), mlx or cpu")
      ->capture_default_str();
  command
      .add_option(
          "--activations", activations,
          "auto, int8 (fast), bf16 (near exact) or f32 (exact): what the cpu engine's activations become "
          "where they meet a matrix")
      ->capture_default_str();
  command.add_option("--threads", threads, "Threads of the cpu engine; 0: all cores")
      ->check(CLI::NonNegativeNumber);
  command.add_option("--max-length", max_length, "Tokens a text may have; longer ones are truncated (said)")
      ->check(CLI::PositiveNumber);
  command.add_flag("--strict", strict, "Warnings are errors");
  command.add_flag("--json", json, "Machine-readable output, one object a line");
}

Encoder RunOptions::load() const {
  return Encoder::load(folder, {.engine = parse_engine(engine),
                                .activations = parse_activations(activations),
                                .threads = threads,
                                .max_length = max_length,
                                .warning = warnings(strict ? Strictness::strict : Strictness::warn)});
}

}  // namespace mlxe::cli
