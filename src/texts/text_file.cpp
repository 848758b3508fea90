#include "texts/text_file.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "format/json_file.h"
#include "mlx_encoder/error.h"
#include "texts/conll_file.h"
#include "texts/row_file.h"

namespace mlxe {
namespace {

// Usual names of the columns of texts and of their pairs.
constexpr const char* kTextColumns[] = {"text", "sentence", "query", "premise", "sentence1", "text1"};
constexpr const char* kPairColumns[] = {"text_pair", "passage", "hypothesis", "sentence2", "text2"};

// The first of the columns that is there.
template <size_t N>
std::optional<std::string> one_of(const char* const (&columns)[N],
                                  const std::function<bool(const std::string&)>& is_there) {
  for (const char* column : columns)
    if (is_there(column)) return column;
  return std::nullopt;
}

class TextRows {
 public:
  // `options` must outlive this object.
  TextRows(std::string where, const std::string& format, const TextFileOptions& options,
           const Warning& warning)
      : where_(std::move(where)), is_tsv_(format == "tsv"), options_(options), warning_(warning) {
    if (format == "txt") require_no_columns(where_, format, options);
  }

  static void require_no_columns(const std::string& where, std::string_view format,
                                 const TextFileOptions& options) {
    if (!options.text_column.empty())
      throw Error(ErrorCode::usage, fmt::format("{}: a .{} file has no columns, the texts' column is said to "
                                                "be {}; leave the column's name out",
                                                where, format, printable(options.text_column)));
  }

  TextRow of(const Row& row) {
    const std::string column = text_column(row);
    TextRow result{{text(row, column), std::nullopt}, {}, row.line, row.past, row.unit};
    if (options_.text_column.empty())
      if (const auto pair = one_of(kPairColumns, in(row)); pair && *pair != column)
        result.input.pair = text(row, *pair);
    for (const std::string& name : options_.columns) result.cells.push_back(cell(row, name));
    return result;
  }

  // Of a Parquet file's columns, those of the texts, their pairs and the cells. Errors: format (no texts).
  std::vector<std::string> needed(const std::vector<std::string>& columns) const {
    const auto is_there = [&](const std::string& name) {
      return std::ranges::find(columns, name) != columns.end();
    };
    const std::string& given = options_.text_column;
    const auto text = given.empty() ? one_of(kTextColumns, is_there) : std::optional(given);
    if (!text || !is_there(*text))
      throw Error(
          ErrorCode::format,
          fmt::format("{}: has no column of texts or numbers that is called {}, found {}; {}", where_,
                      given.empty() ? fmt::format("{}", fmt::join(kTextColumns, ", ")) : printable(given),
                      columns.empty() ? "none" : fmt::format("{}", fmt::join(columns, ", ")),
                      "name the texts' column, or rename it"));
    std::vector<std::string> names{*text};
    const auto add = [&](const std::string& name) {
      if (is_there(name) && std::ranges::find(names, name) == names.end()) names.push_back(name);
    };
    if (const auto pair = one_of(kPairColumns, is_there); pair && given.empty()) add(*pair);
    for (const std::string& name : options_.columns) add(name);
    return names;
  }

 private:
  static std::function<bool(const std::string&)> in(const Row& row) {
    return [&row](const std::string& column) { return row.cells.contains(column); };
  }

  std::string text_column(const Row& row) {
    if (!options_.text_column.empty()) {
      if (!row.cells.contains(options_.text_column))
        malformed(where_, row, fmt::format("has no {}", printable(options_.text_column)));
      return options_.text_column;
    }
    const auto column = one_of(kTextColumns, in(row));
    if (!column && !is_tsv_) malformed(where_, row, R"(not a JSON string or an object with a "text" string)");
    return column ? *column : first_of_all(row);
  }

  std::string first_of_all(const Row& row) {
    std::string column = row.cells.begin().key();
    if (warning_ && !warned_)
      warning_(
          fmt::format("{}: none of the columns that its first line names is called {}; the first one, {}, "
                      "is taken for the texts",
                      where_, fmt::join(kTextColumns, ", "), printable(column)));
    warned_ = true;
    return column;
  }

  std::string text(const Row& row, const std::string& column) const {
    const auto& cell = row.cells.at(column);
    if (!cell.is_string())
      malformed(where_, row, fmt::format("\"{}\" is {}", column, cell.is_null() ? "null" : "not a string"));
    return cell.get<std::string>();
  }

  static std::optional<std::string> cell(const Row& row, const std::string& column) {
    const auto cell = row.cells.find(column);
    if (cell == row.cells.end() || !(cell->is_string() || cell->is_number())) return std::nullopt;
    return cell->is_string() ? cell->get<std::string>() : cell->dump();
  }

  std::string where_;
  bool is_tsv_, warned_ = false;
  const TextFileOptions& options_;
  const Warning& warning_;
};

constexpr const char* kConll = "conll";

auto taking_sentences(const TextFileOptions& options, const std::function<void(TextRow)>& take) {
  return [cells = options.columns.size(), &take](const ConllSentence& sentence) {
    take({.input = {fmt::format("{}", fmt::join(sentence.words, " ")), std::nullopt},
          .cells = std::vector<std::optional<std::string>>(cells),
          .line = sentence.lines.front()});
    return true;
  };
}

}  // namespace

bool is_text_file(const std::filesystem::path& file) {
  return std::ranges::find(kTextFileEndings, ending_of(file)) != kTextFileEndings.end();
}

bool has_columns(const std::filesystem::path& file) {
  const std::string format = file_format(file, "");
  return format != "txt" && format != kConll;
}

void read_text_rows(std::istream& stream, const std::string& where, const TextFileOptions& options,
                    const std::function<void(TextRow)>& take, const Warning& warning) {
  if (file_format(where, options.format) == kConll) {
    TextRows::require_no_columns(where, kConll, options);
    read_conll(stream, where, taking_sentences(options, take), options.if_empty);
    return;
  }
  const std::string known = row_format(where, options.format);
  TextRows rows(where, known, options, warning);
  const auto take_row = [&](const Row& row) {
    take(rows.of(row));
    return true;
  };
  read_rows(stream, where, known, take_row, options.if_empty);
}

void read_text_rows(const std::filesystem::path& file, const TextFileOptions& options,
                    const std::function<void(TextRow)>& take, const Warning& warning) {
  if (file_format(file, options.format) == kConll) {
    TextRows::require_no_columns(file.string(), kConll, options);
    read_conll(file, taking_sentences(options, take), options.if_empty);
    return;
  }
  const std::string known = row_format(file, options.format);
  TextRows rows(file.string(), known, options, warning);
  const auto take_row = [&](const Row& row) {
    take(rows.of(row));
    return true;
  };
  const auto needed = [&](const std::vector<std::string>& columns) { return rows.needed(columns); };
  read_rows(file, known, take_row, options.if_empty, needed);
}

std::vector<TextInput> read_texts(const std::filesystem::path& file, const Warning& warning) {
  std::vector<TextInput> texts;
  read_text_rows(
      file, {}, [&](TextRow row) { texts.push_back(std::move(row.input)); }, warning);
  return texts;
}

Warning collected_in(std::vector<std::string>& sentences) {
  return [&sentences](std::string_view sentence) { sentences.emplace_back(sentence); };
}

}  // namespace mlxe
