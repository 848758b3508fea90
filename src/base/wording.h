// Wording that messages, tables and reports share.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace mlxe {

// "a, b, c and 4 more": the first `most` items. A separator other than ", " also stands before "and".
std::string listed(std::span<const std::string> items, size_t most, std::string_view separator = ", ");

double mib(uint64_t bytes);
std::string human_bytes(double bytes);  // "12.9 MiB"
// "5GB", "500 MB", "2GiB", "1048576" to whole bytes, at least 1. None if `text` is no size.
std::optional<uint64_t> parse_bytes(const std::string& text);
// The last name of a folder's path. If that is "model", which says little, with the name before it.
std::string folder_name(const std::string& folder);
std::string human_count(double count);  // "22.70 M"

// `text` made safe for a terminal or a report: control characters other than tab and newline are escaped as
// in JSON (\u001b), bytes that are not UTF-8 become U+FFFD.
std::string cleaned(std::string_view text);

}  // namespace mlxe
