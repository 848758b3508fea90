#include "base/text.h"

#include <algorithm>
#include <cmath>
#include <locale>
#include <sstream>

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

std::optional<double> finite_number(std::string_view text) {
  const size_t first = text.find_first_not_of(' '), last = text.find_last_not_of(' ');
  if (first == text.npos) return std::nullopt;
  text = text.substr(first, last + 1 - first);
  if (text.find_first_not_of("0123456789+-.eE") != text.npos) return std::nullopt;
  // std::from_chars for double is missing from libc++; strtod() reads what the process's locale says.
  std::istringstream stream{std::string(text)};
  stream.imbue(std::locale::classic());
  double number = 0;
  stream >> number;
  const bool whole = !stream.fail() && stream.peek() == std::istringstream::traits_type::eof();
  return whole && std::isfinite(number) ? std::optional(number) : std::nullopt;
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
