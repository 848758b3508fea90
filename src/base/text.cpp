#include "base/text.h"

#include <algorithm>

namespace mlxe {

std::string lowercase(std::string_view text) {
  std::string lower(text);
  std::ranges::transform(lower, lower.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return lower;
}

std::string ending_of(const std::filesystem::path& file) {
  return lowercase(file.extension().string());
}

std::vector<std::string> split_tabs(std::string_view line) {
  std::vector<std::string> cells;
  size_t begin = 0;
  for (size_t tab; (tab = line.find('\t', begin)) != line.npos; begin = tab + 1)
    cells.emplace_back(line.substr(begin, tab - begin));
  cells.emplace_back(line.substr(begin));
  return cells;
}

}  // namespace mlxe
