// The report as Markdown: the tables, no pictures; and the part of it that goes into a model card.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "compare/report_text.h"
#include "compare/tables.h"
#include "mlx_encoder/compare.h"

namespace mlxe {
namespace {

std::string section(const Table& t, std::string_view heading) {
  std::string out = fmt::format("\n{} {}\n\n", heading, markdown_escape(t.title));
  const auto line = [&](const std::vector<std::string>& cells) {
    for (const std::string& cell : cells) out += "| " + markdown_escape(cell) + " ";
    out += "|\n";
  };
  line(t.header);
  for (Align a : t.align) out += a == Align::right ? "|---:" : "|:---";
  out += "|\n";
  for (const auto& row : t.rows) line(row);
  if (!t.note.empty()) out += "\n" + markdown_escape(t.note) + "\n";
  return out;
}

}  // namespace

std::string to_markdown(const Comparison& c) {
  std::string out = "# What the conversion cost\n\n" + markdown_escape(sentence(c.verdict())) + "\n";
  for (const Table& t : tables(c)) out += section(t, "##");
  return out;
}

std::string to_card(const Comparison& c) {
  static constexpr std::array kShown{"tensors", "task", "labels", "summary", "gates"};
  std::string out =
      fmt::format("{}\n\nmlx-encoder {}, {} text{} with {} tokens in all, {} engine, {}, {}.\n",
                  markdown_escape(sentence(c.verdict())), c.version, c.texts, c.texts == 1 ? "" : "s",
                  c.tokens, c.quantized.engine, markdown_escape(c.machine), c.date);
  for (const char* id : kShown)
    for (const Table& t : tables(c))
      if (t.id == id) out += section(t, "###");
  return out;
}

}  // namespace mlxe
