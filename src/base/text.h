// Pieces of text files as several readers take them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace mlxe {

// ASCII letters only: labels and option values.
std::string lowercase(std::string_view text);

// The cells of a line of tab-separated values, one more than it has tabs.
std::vector<std::string> split_tabs(std::string_view line);

}  // namespace mlxe
