#include "print_table.h"

#include <algorithm>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "base/utf8.h"

namespace mlxe::cli {
namespace {

size_t width(std::string_view text) {  // in code points; ignores wide characters
  return static_cast<size_t>(code_points(text));
}

}  // namespace

void print_table(const Table& t) {
  std::vector<size_t> widths(t.header.size());
  for (size_t i = 0; i < widths.size(); ++i) {
    widths[i] = width(t.header[i]);
    for (const auto& row : t.rows) widths[i] = std::max(widths[i], width(row[i]));
  }
  const auto line = [&](const std::vector<std::string>& cells) {
    std::string out = "  ";
    for (size_t i = 0; i < cells.size(); ++i) {
      const std::string& text = cells[i];
      const std::string pad(widths[i] - width(text), ' ');
      out += t.align[i] == Align::right ? pad + text : text + pad;
      out += "  ";
    }
    out.erase(out.find_last_not_of(' ') + 1);
    std::cout << out << '\n';
  };
  std::cout << '\n' << t.title << '\n';
  if (!std::ranges::all_of(t.header, &std::string::empty)) line(t.header);
  for (const auto& row : t.rows) line(row);
  if (!t.note.empty()) std::cout << "  " << t.note << '\n';
}

}  // namespace mlxe::cli
