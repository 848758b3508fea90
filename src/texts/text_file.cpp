#include "texts/text_file.h"

#include <fmt/format.h>

#include "format/json_file.h"
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
  TextRows(std::string where, std::string format, std::span<const std::string> columns,
           const Warning& warning)
      : where_(std::move(where)), is_tsv_(format == "tsv"), columns_(columns), warning_(warning) {}

  TextRow of(const Row& row) {
    auto column = one_of(kTextColumns, row);
    if (!column && !is_tsv_)
      malformed(where_, row.line, R"(not a JSON string or an object with a "text" string)");
    if (!column) column = first_of_all(row);
    TextRow result{{text(row, *column), std::nullopt}, {}, row.line};
    if (const auto pair = one_of(kPairColumns, row); pair && *pair != *column)
      result.input.pair = text(row, *pair);
    for (const std::string& name : columns_) result.cells.push_back(cell(row, name));
    return result;
  }

 private:
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
  std::span<const std::string> columns_;
  const Warning& warning_;
};

constexpr const char* kConll = "conll";

auto taking_sentences(std::span<const std::string> columns, const std::function<void(TextRow)>& take) {
  return [columns, &take](const ConllSentence& sentence) {
    take({.input = {fmt::format("{}", fmt::join(sentence.words, " ")), std::nullopt},
          .cells = std::vector<std::optional<std::string>>(columns.size()),
          .line = sentence.lines.front()});
    return true;
  };
}

}  // namespace

void read_text_rows(std::istream& stream, const std::string& format, const std::string& where,
                    std::span<const std::string> columns, const std::function<void(TextRow)>& take,
                    const Warning& warning) {
  if (file_format(where, format) == kConll) {
    read_conll(stream, where, taking_sentences(columns, take));
    return;
  }
  const std::string known = row_format(where, format);
  TextRows rows(where, known, columns, warning);
  read_rows(stream, where, known, [&](const Row& row) {
    take(rows.of(row));
    return true;
  });
}

void read_text_rows(const std::filesystem::path& file, const std::string& format,
                    std::span<const std::string> columns, const std::function<void(TextRow)>& take,
                    const Warning& warning) {
  if (file_format(file, format) == kConll) {
    read_conll(file, taking_sentences(columns, take));
    return;
  }
  const std::string known = row_format(file, format);
  TextRows rows(file.string(), known, columns, warning);
  read_rows(file, known, [&](const Row& row) {
    take(rows.of(row));
    return true;
  });
}

std::vector<TextInput> read_texts(const std::filesystem::path& file, const Warning& warning) {
  std::vector<TextInput> texts;
  read_text_rows(
      file, "", {}, [&](TextRow row) { texts.push_back(std::move(row.input)); }, warning);
  return texts;
}

Warning collected_in(std::vector<std::string>& sentences) {
  return [&sentences](std::string_view sentence) { sentences.emplace_back(sentence); };
}

}  // namespace mlxe
