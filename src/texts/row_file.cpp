#include "texts/row_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <optional>
#include <set>
#include <system_error>
#include <vector>

#include "base/file_errors.h"
#include "base/text.h"
#include "base/utf8.h"
#include "format/json_file.h"
#include "mlx_encoder/error.h"
#include "texts/parquet_rows.h"

namespace mlxe {
namespace {

using Json = nlohmann::ordered_json;
using TakeLine = std::function<bool(const std::string& line, size_t number)>;

class Parser {
 public:
  Parser(std::string where, std::string format) : where_(std::move(where)), format_(std::move(format)) {}

  // nothing for a header or an empty line of jsonl
  std::optional<Row> parse(const std::string& line, size_t number) {
    if (format_ == "txt") return Row{number, 0, {{"text", line}}};
    if (format_ == "tsv") return parse_tsv(line, number);
    if (line.find_first_not_of(" \t") == std::string::npos) return std::nullopt;
    require_json_depth(line, fmt::format("{}: line {}", where_, number));
    Json value = parse_json_line(line, number);
    if (value.is_string()) return Row{number, 0, {{"text", std::move(value)}}};
    if (!value.is_object()) malformed(where_, number, "not a JSON object or string");
    return Row{number, 0, std::move(value)};
  }

 private:
  Json parse_json_line(const std::string& line, size_t number) const {
    std::vector<std::set<std::string>> keys;  // of the objects that are open
    const auto check = [&](int, Json::parse_event_t event, Json& value) {
      if (event == Json::parse_event_t::object_start) keys.emplace_back();
      if (event == Json::parse_event_t::object_end) keys.pop_back();
      if (event == Json::parse_event_t::key && !keys.back().insert(value.get<std::string>()).second)
        malformed(where_, number,
                  fmt::format("the key {} appears twice in one object; remove one",
                              printable(value.get<std::string>())));
      return true;
    };
    try {
      return Json::parse(line, check);
    } catch (const Json::parse_error& error) {
      malformed(where_, number, fmt::format("not valid JSON at column {}", std::max<size_t>(error.byte, 1)));
    } catch (const Json::exception&) {  // out of range, the only other one
      malformed(where_, number, "a number is too large");
    }
  }

  std::optional<Row> parse_tsv(const std::string& line, size_t number) {
    std::vector<std::string> cells = split_tabs(line);
    if (header_.empty()) {
      header_ = std::move(cells);
      if (std::set(header_.begin(), header_.end()).size() != header_.size())
        malformed(where_, number, "the header names a column twice");
      return std::nullopt;
    }
    if (cells.size() != header_.size())
      malformed(where_, number,
                fmt::format("{} tab-separated cell{}, the header has {}", cells.size(),
                            cells.size() == 1 ? "" : "s", header_.size()));
    Row row{number, 0, Json::object()};
    for (size_t i = 0; i < cells.size(); ++i) row.cells[header_[i]] = std::move(cells[i]);
    return row;
  }

  std::string where_, format_;
  std::vector<std::string> header_;
};

// Whatever can be read from begin to end: pipes and devices too.
std::ifstream open(const std::filesystem::path& file) {
  const std::filesystem::file_status status = with_file_errors([&] { return std::filesystem::status(file); });
  if (status.type() == std::filesystem::file_type::not_found)
    throw Error(ErrorCode::not_found, file.string() + ": no such file");
  if (std::filesystem::is_directory(status))
    throw Error(ErrorCode::usage, file.string() + ": is a folder; give a file");
  std::ifstream stream(file);
  if (!stream)
    throw Error(ErrorCode::io, fmt::format("{}: can't be opened for reading: {}", file.string(),
                                           std::generic_category().message(errno)));
  return stream;
}

}  // namespace

void malformed(const std::string& where, size_t line, const std::string& what) {
  throw Error(ErrorCode::format, fmt::format("{}: line {}: {}", where, line, what));
}

void malformed(const std::string& where, const Row& row, const std::string& what) {
  throw Error(ErrorCode::format, fmt::format("{}: {} {}: {}", where, row.unit, row.line, what));
}

std::string file_format(const std::filesystem::path& file, const std::string& given) {
  if (!given.empty()) return lowercase(given);
  const std::string ending = ending_of(file);
  return ending.empty() ? "txt" : ending.substr(1);
}

std::string row_format(const std::filesystem::path& file, const std::string& given) {
  const std::string format = file_format(file, given);
  if (format != "txt" && format != "tsv" && format != "jsonl" && format != kParquet)
    throw Error(
        ErrorCode::usage,
        fmt::format("{}: the format \"{}\" is unknown; name a .txt (a text a line), .tsv "
                    "(tab-separated, with a header line), .jsonl or .parquet file, or give --input-format",
                    file.string(), format));
  return format;
}

void read_lines(std::istream& stream, const std::string& where, const TakeLine& take) {
  std::string line;
  for (size_t number = 1; std::getline(stream, line); ++number) {
    if (number == 1 && line.starts_with("\xEF\xBB\xBF")) line.erase(0, 3);
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (const size_t at = first_invalid_utf8(line); at != kValidUtf8)
      malformed(where, number, fmt::format("byte {} is not UTF-8", at + 1));
    if (!take(line, number)) return;
  }
  if (stream.bad()) throw Error(ErrorCode::io, where + ": reading failed");
}

void read_lines(const std::filesystem::path& file, const TakeLine& take) {
  std::ifstream stream = open(file);
  read_lines(stream, file.string(), take);
}

void read_rows(std::istream& stream, const std::string& where, const std::string& format,
               const std::function<bool(const Row&)>& take, IfEmpty if_empty) {
  if (format == kParquet)
    throw Error(ErrorCode::usage, where + ": Parquet is read from its end; give a file");
  Parser parser(where, format);
  bool any = false;
  uint64_t past = 0;
  read_lines(stream, where, [&](const std::string& line, size_t number) {
    past += line.size() + 1;
    auto row = parser.parse(line, number);
    if (!row) return true;
    any = true;
    row->past = past;
    return take(*row);
  });
  if (!any && if_empty == IfEmpty::refuse)
    throw Error(ErrorCode::usage, where + (format == "txt" ? ": holds no texts" : ": holds no rows"));
}

void read_rows(const std::filesystem::path& file, const std::string& format,
               const std::function<bool(const Row&)>& take, IfEmpty if_empty, const ChooseColumns& choose) {
  std::ifstream stream = open(file);
  const std::string known = row_format(file, format);
  if (known != kParquet || !std::filesystem::is_regular_file(file))
    read_rows(stream, file.string(), known, take, if_empty);
  else
    read_parquet_rows(file, take, if_empty, choose);
}

}  // namespace mlxe
