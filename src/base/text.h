// Small functions on text that several readers share.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mlxe {

// `text` with ASCII letters in lower case. For labels and option values.
std::string lowercase(std::string_view text);

// A file name's ending in lower case: ".jsonl" of "A.JSONL", "" of "A".
std::string ending_of(const std::filesystem::path& file);

// The number that a text spells in decimal digits, perhaps with blanks around it: "-1.5e3", " 2". The same in every
// locale. Empty for anything else: other words, "nan", "0x10", what no double holds.
std::optional<double> finite_number(std::string_view text);

// The cells of a line of tab-separated values: one more than it has tabs.
std::vector<std::string> split_tabs(std::string_view line);

}  // namespace mlxe
