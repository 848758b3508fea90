// Reads the small JSON files of a model folder with limits, and quotes text of files in messages.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace mlxe {

inline constexpr size_t kMaxJsonBytes = size_t{256} << 20;  // an index of a million tensors is 100 MB
inline constexpr int kMaxJsonDepth = 64;

// Errors: not_found, io, format (too large, not UTF-8, not JSON, nested deeper than kMaxJsonDepth, a key
// twice in one object), each with the file's name and the position.
nlohmann::json read_json(const std::filesystem::path& file);
// The same for text already in memory; `where` names it in errors.
nlohmann::json parse_json(std::string_view text, const std::string& where);

// Errors: format (`text` is nested deeper than kMaxJsonDepth). To be called on every text from a file
// before it is parsed: parsing, copying and writing JSON recurse on each level.
void require_json_depth(std::string_view text, const std::string& where);

// `text` as a JSON string literal. Bytes that are not UTF-8 become U+FFFD.
std::string json_string(std::string_view text);
// The same, shortened: safe to print for any bytes.
std::string printable(std::string_view text);
// A short rendering of any value for messages: `"abc"`, `12`, `[1,2]`.
std::string shown(const nlohmann::json& value);

}  // namespace mlxe
