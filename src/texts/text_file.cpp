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

template <size_t N>
std::optional<std::string> one_of(const char* const (&columns)[N], const Row& row) {
  for (const char* column : columns)
    if (row.cells.contains(column)) return column;
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
    TextRow result{{text(row, column), std::nullopt}, {}, row.line, row.past};
    if (options_.text_column.empty())
      if (const auto pair = one_of(kPairColumns, row); pair && *pair != column)
        result.input.pair = text(row, *pair);
    for (const std::string& name : options_.columns) result.cells.push_back(cell(row, name));
    return result;
  }

 private:
  std::string text_column(const Row& row) {
    if (!options_.text_column.empty()) {
      if (!row.cells.contains(options_.text_column))
        malformed(where_, row.line, fmt::format("has no {}", printable(options_.text_column)));
      return options_.text_column;
    }
    const auto column = one_of(kTextColumns, row);
    if (!column && !is_tsv_)
      malformed(where_, row.line, R"(not a JSON string or an object with a "text" string)");
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
    if (!cell.is_string()) malformed(where_, row.line, fmt::format("\"{}\" is not a string", column));
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

void read_text_rows(std::istream& stream, const std::string& where, const TextFileOptions& options,
                    const std::function<void(TextRow)>& take, const Warning& warning) {
  if (file_format(where, options.format) == kConll) {
    TextRows::require_no_columns(where, kConll, options);
    read_conll(stream, where, taking_sentences(options, take));
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
    read_conll(file, taking_sentences(options, take));
    return;
  }
  const std::string known = row_format(file, options.format);
  TextRows rows(file.string(), known, options, warning);
  const auto take_row = [&](const Row& row) {
    take(rows.of(row));
    return true;
  };
  read_rows(file, known, take_row, options.if_empty);
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
