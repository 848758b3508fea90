// The report as Markdown: the tables, no pictures; and the part of it that goes into a model card.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <string_view>
#include <vector>

#include "base/wording.h"
#include "mlx_encoder/compare.h"
#include "report/report_text.h"
#include "report/tables.h"

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

// The card's first line: the most important figures, each in a code span, which viewers draw as a box.
std::string badges(const Comparison& c) {
  const StoredSize &x = c.original.size, &y = c.quantized.size;
  std::vector<std::string> all{fmt::format("{:.2f} bits a weight", y.bits_per_weight),
                               human_bytes(static_cast<double>(y.weight_bytes))};
  if (y.weight_bytes > 0 && y.weight_bytes < x.weight_bytes)
    all.back() += fmt::format(", {:.1f}x smaller",
                              static_cast<double>(x.weight_bytes) / static_cast<double>(y.weight_bytes));
  all.push_back(fmt::format("cosine {:.4f}", c.tensor(c.listed).cosine.mean));
  if (c.vectors) {
    all.push_back(fmt::format("relative error {:.4f}", c.vectors->relative_error));
    all.push_back(fmt::format("neighbours kept {:.1f} %", 100 * c.vectors->neighbours_kept));
  }
  if (c.labels)
    all.push_back(fmt::format("labels changed {:.2f} %", 100.0 * static_cast<double>(c.labels->flips) /
                                                             static_cast<double>(c.labels->texts)));
  if (!c.task.empty() && std::isfinite(c.task[0].quantized))
    all.push_back(
        fmt::format("{} {:.4f} of {:.4f}", c.task[0].metric, c.task[0].quantized, c.task[0].original));
  const auto held = std::ranges::count_if(c.gates, &Gate::passed);
  all.push_back(fmt::format("gates {}/{} {}", held, c.gates.size(), c.passed() ? "passed" : "FAILED"));
  std::string line;
  for (const std::string& badge : all) line += (line.empty() ? "`" : " · `") + badge + "`";
  return line + "\n\n";
}

}  // namespace

std::string to_markdown(const Comparison& c) {
  std::string out =
      "# What the conversion cost\n\n" + badges(c) + markdown_escape(sentence(c.verdict())) + "\n";
  for (const Table& t : tables(c)) out += section(t, "##");
  return out;
}

std::string to_card(const Comparison& c) {
  static constexpr std::array kShown{"tensors", "vectors", "drift", "task", "labels",
                                     "moves",   "summary", "parts", "gates"};
  std::string out =
      badges(c) + fmt::format("{}\n\nmlx-encoder {}, {} text{} with {} tokens in all, {} engine, {}, {}.\n",
                              markdown_escape(sentence(c.verdict())), c.version, c.texts,
                              c.texts == 1 ? "" : "s", c.tokens, c.quantized.engine,
                              markdown_escape(c.machine), c.date);
  for (const char* id : kShown)
    for (const Table& t : tables(c))
      if (t.id == id) out += section(t, "###");
  return out;
}

}  // namespace mlxe
