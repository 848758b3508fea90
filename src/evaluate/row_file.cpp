#include "evaluate/row_file.h"

#include <fmt/format.h>

#include <fstream>
#include <optional>
#include <set>
#include <vector>

#include "base/text.h"
#include "base/utf8.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

class Parser {
 public:
  Parser(std::filesystem::path file, const std::string& format) : file_(std::move(file)) {
    const std::string ending = file_.extension().string();
    const std::string kind = !format.empty() ? format : ending.empty() ? "" : ending.substr(1);
    if (kind != "tsv" && kind != "jsonl")
      throw Error(ErrorCode::usage,
                  fmt::format("{}: the format \"{}\" is unknown; name a .tsv (tab-separated, with a header "
                              "line) or .jsonl file, or give --input-format",
                              file_.string(), kind));
    is_tsv_ = kind == "tsv";
  }

  // nothing for a header or an empty line of jsonl
  std::optional<Row> parse(const std::string& line, size_t number) {
    if (is_tsv_) return parse_tsv(line, number);
    if (line.find_first_not_of(" \t") == std::string::npos) return std::nullopt;
    Row row{number, nlohmann::json::parse(line, nullptr, false)};
    if (!row.cells.is_object()) malformed(file_, number, "not a JSON object");
    return row;
  }

 private:
  std::optional<Row> parse_tsv(const std::string& line, size_t number) {
    std::vector<std::string> cells = split_tabs(line);
    if (header_.empty()) {
      header_ = std::move(cells);
      if (std::set(header_.begin(), header_.end()).size() != header_.size())
        malformed(file_, number, "the header names a column twice");
      return std::nullopt;
    }
    if (cells.size() != header_.size())
      malformed(file_, number,
                fmt::format("{} tab-separated cell{}, the header has {}", cells.size(),
                            cells.size() == 1 ? "" : "s", header_.size()));
    Row row{number, nlohmann::json::object()};
    for (size_t i = 0; i < cells.size(); ++i) row.cells[header_[i]] = std::move(cells[i]);
    return row;
  }

  std::filesystem::path file_;
  bool is_tsv_ = false;
  std::vector<std::string> header_;
};

}  // namespace

void malformed(const std::filesystem::path& file, size_t line, const std::string& what) {
  throw Error(ErrorCode::format, fmt::format("{}: line {}: {}", file.string(), line, what));
}

void read_lines(const std::filesystem::path& file,
                const std::function<bool(const std::string& line, size_t number)>& take) {
  if (!std::filesystem::is_regular_file(file))
    throw Error(ErrorCode::not_found, file.string() + ": no such file");
  std::ifstream stream(file);
  if (!stream) throw Error(ErrorCode::io, file.string() + ": can't be opened for reading");
  std::string line;
  for (size_t number = 1; std::getline(stream, line); ++number) {
    if (number == 1 && line.starts_with("\xEF\xBB\xBF")) line.erase(0, 3);
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (const size_t at = first_invalid_utf8(line); at != kValidUtf8)
      malformed(file, number, fmt::format("byte {} is not UTF-8", at + 1));
    if (!take(line, number)) return;
  }
  if (stream.bad()) throw Error(ErrorCode::io, file.string() + ": reading failed");
}

void read_rows(const std::filesystem::path& file, const std::string& format,
               const std::function<bool(const Row&)>& take) {
  if (!std::filesystem::is_regular_file(file))
    throw Error(ErrorCode::not_found, file.string() + ": no such file");
  Parser parser(file, format);
  bool any = false;
  read_lines(file, [&](const std::string& line, size_t number) {
    const auto row = parser.parse(line, number);
    any = any || row;
    return !row || take(*row);
  });
  if (!any) throw Error(ErrorCode::usage, file.string() + ": holds no rows");
}

}  // namespace mlxe
