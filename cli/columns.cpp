#include "columns.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "mlx_encoder/error.h"

namespace mlxe::cli {
namespace {

std::string cell_of(const std::string& line, size_t index) {
  size_t begin = 0;
  for (; index > 0; --index) {
    begin = line.find('\t', begin);
    if (begin == std::string::npos) return {};
    ++begin;
  }
  return line.substr(begin, std::min(line.find('\t', begin), line.size()) - begin);
}

// The index of the column; nothing if the header has no such cell.
std::optional<size_t> column_index(const std::string& header, const std::string& column) {
  const size_t cells = static_cast<size_t>(std::ranges::count(header, '\t')) + 1;
  for (size_t i = 0; i < cells; ++i)
    if (cell_of(header, i) == column) return i;
  return std::nullopt;
}

}  // namespace

std::optional<std::vector<std::string>> read_column(const std::filesystem::path& file,
                                                    const std::string& format, const std::string& column) {
  const std::string kind = !format.empty()                ? format
                           : file.extension() == ".tsv"   ? "tsv"
                           : file.extension() == ".jsonl" ? "jsonl"
                                                          : "";
  if (kind != "tsv" && kind != "jsonl") return std::nullopt;
  if (!std::filesystem::is_regular_file(file))
    throw Error(ErrorCode::not_found, file.string() + ": no such file");
  std::ifstream stream(file);
  std::vector<std::string> values;
  std::optional<size_t> index;
  std::string line;
  for (size_t number = 1; std::getline(stream, line); ++number) {
    if (number == 1 && line.starts_with("\xEF\xBB\xBF")) line.erase(0, 3);
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (kind == "tsv") {
      if (number > 1) {
        values.push_back(cell_of(line, *index));
      } else if (index = column_index(line, column); !index) {
        return std::nullopt;
      }
      continue;
    }
    if (line.find_first_not_of(" \t") == std::string::npos) continue;
    const auto value = nlohmann::json::parse(line, nullptr, false);
    const auto found = value.is_object() ? value.find(column) : value.end();
    const bool usable =
        value.is_object() && found != value.end() && (found->is_string() || found->is_number());
    if (!usable && values.empty()) return std::nullopt;
    if (!usable)
      throw Error(ErrorCode::format,
                  fmt::format("{}: line {}: no \"{}\" that is a string or a number, as the lines "
                              "before it have",
                              file.string(), number, column));
    values.push_back(found->is_string() ? found->get<std::string>() : found->dump());
  }
  if (!stream.eof()) throw Error(ErrorCode::io, file.string() + ": reading failed");
  return values;
}

}  // namespace mlxe::cli
