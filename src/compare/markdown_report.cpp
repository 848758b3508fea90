// The report as Markdown: the tables, no pictures.
#include <string>

#include "compare/report_text.h"
#include "compare/tables.h"
#include "mlx_encoder/compare.h"

namespace mlxe {

std::string to_markdown(const Comparison& c) {
  std::string out = "# What the conversion cost\n\n" + markdown_escape(sentence(c.verdict())) + "\n";
  for (const Table& t : tables(c)) {
    out += "\n## " + markdown_escape(t.title) + "\n\n";
    const auto line = [&](const std::vector<std::string>& cells) {
      for (const std::string& cell : cells) out += "| " + markdown_escape(cell) + " ";
      out += "|\n";
    };
    line(t.header);
    for (Align a : t.align) out += a == Align::right ? "|---:" : "|:---";
    out += "|\n";
    for (const auto& row : t.rows) line(row);
    if (!t.note.empty()) out += "\n" + markdown_escape(t.note) + "\n";
  }
  return out;
}

}  // namespace mlxe
