#include "evaluate/text_file.h"

#include <fmt/format.h>

#include <fstream>
#include <istream>
#include <nlohmann/json.hpp>
#include <span>
#include <utility>

#include "base/text.h"
#include "mlx_encoder/error.h"

namespace mlxe {
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

void read_text_rows(std::istream& stream, const std::string& format, const std::string& where,
                    std::span<const std::string> columns, const std::function<void(TextRow)>& take) {
  LineParser parser(format, where, columns);
  bool any = false;
  std::string line;
  for (size_t number = 1; std::getline(stream, line); ++number) {
    if (number == 1 && line.starts_with("\xEF\xBB\xBF")) line.erase(0, 3);
    auto row = parser.parse(std::move(line), number);
    if (!row) continue;
    any = true;
    take(*std::move(row));
  }
  if (stream.bad()) throw Error(ErrorCode::io, where + ": reading failed");
  if (!any) throw Error(ErrorCode::usage, where + ": holds no texts");
}

void read_text_rows(const std::filesystem::path& file, const std::string& format,
                    std::span<const std::string> columns, const std::function<void(TextRow)>& take) {
  if (!std::filesystem::is_regular_file(file))
    throw Error(ErrorCode::not_found, file.string() + ": no such file");
  std::ifstream stream(file);
  if (!stream) throw Error(ErrorCode::io, file.string() + ": can't be opened for reading");
  const std::string ending = file.extension().string();
  read_text_rows(stream,
                 !format.empty()  ? format
                 : ending.empty() ? "txt"
                                  : ending.substr(1),
                 file.string(), columns, take);
}

std::vector<TextInput> read_texts(const std::filesystem::path& file) {
  std::vector<TextInput> texts;
  read_text_rows(file, "", {}, [&](TextRow row) { texts.push_back(std::move(row.input)); });
  return texts;
}

}  // namespace mlxe
