#include "format/json_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "base/mapped_file.h"
#include "base/utf8.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

constexpr size_t kMaxShown = 120;

std::string shorten(std::string text) {
  if (text.size() <= kMaxShown) return text;
  size_t end = kMaxShown;
  while (end > 0 && !begins_code_point(text[end])) --end;  // not inside a character
  return text.substr(0, end) + "...";
}

std::string position(std::string_view text, size_t offset) {
  offset = std::min(offset, text.size());
  const std::string_view before = text.substr(0, offset);
  const auto line = std::count(before.begin(), before.end(), '\n') + 1;
  const size_t newline = before.rfind('\n');
  return fmt::format("line {}, column {}", line, offset - (newline == before.npos ? 0 : newline + 1) + 1);
}

}  // namespace

std::string json_string(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string printable(std::string_view text) {
  return shorten(json_string(text.substr(0, kMaxShown + 4)));
}

std::string shown(const nlohmann::json& value) {
  if (value.is_string()) return printable(value.get_ref<const std::string&>());
  return shorten(value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

void require_json_depth(std::string_view text, const std::string& where) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == ']' || c == '}') {
      --depth;
    } else if ((c == '[' || c == '{') && ++depth > kMaxJsonDepth) {
      throw Error(ErrorCode::format, fmt::format("{}: nested deeper than {} levels", where, kMaxJsonDepth));
    }
  }
}

nlohmann::json parse_json(std::string_view text, const std::string& where) {
  if (text.size() > kMaxJsonBytes)
    throw Error(ErrorCode::format,
                fmt::format("{}: {} bytes of JSON, expected at most {}", where, text.size(), kMaxJsonBytes));
  if (const size_t bad = first_invalid_utf8(text); bad != kValidUtf8)
    throw Error(ErrorCode::format, fmt::format("{}: not UTF-8 at byte {} ({}); save the file as UTF-8", where,
                                               bad, position(text, bad)));
  require_json_depth(text, where);
  std::vector<std::set<std::string>> keys;  // keys seen in each object that is still open
  const auto check = [&](int, nlohmann::json::parse_event_t event, nlohmann::json& value) {
    using Event = nlohmann::json::parse_event_t;
    if (event == Event::object_start) keys.emplace_back();
    if (event == Event::object_end) keys.pop_back();
    if (event == Event::key && !keys.back().insert(value.get<std::string>()).second)
      throw Error(ErrorCode::format,
                  fmt::format("{}: the key {} appears twice in one object; remove one", where, shown(value)));
    return true;
  };
  try {
    return nlohmann::json::parse(text.begin(), text.end(), check);
  } catch (const nlohmann::json::parse_error& error) {
    throw Error(ErrorCode::format, fmt::format("{}: not valid JSON at {}; is the file complete?", where,
                                               position(text, error.byte > 0 ? error.byte - 1 : 0)));
  } catch (const nlohmann::json::exception&) {  // a number out of range, the only other error
    throw Error(ErrorCode::format, fmt::format("{}: a number is too large", where));
  }
}

nlohmann::json read_json(const std::filesystem::path& file) {
  const MappedFile mapped(file);
  const auto bytes = mapped.bytes();
  return parse_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, file.string());
}

}  // namespace mlxe
