// The report as one HTML page: style and pictures are inside, nothing is fetched, it prints well.
#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/wording.h"
#include "mlx_encoder/compare.h"
#include "report/html_charts.h"
#include "report/report_style.h"
#include "report/report_text.h"
#include "report/tables.h"

namespace mlxe {
namespace {

std::string badge(const std::string& text, bool good) {
  return fmt::format("<span class=\"badge{}\">{}</span>", good ? "" : " failed", html_escape(text));
}

std::string page_header(const Comparison& c) {
  const bool passed = c.passed();
  return fmt::format(
      "<header{}><h1>{}<span class=\"arrow\"> &rarr; </span>{}</h1>\n"
      "<p class=\"sub\">{} texts, {} tokens &middot; {} engine ({}) &middot; {}</p>\n"
      "<p class=\"verdict\">{}<span>{}</span></p></header>\n",
      passed ? "" : " class=\"failed\"", html_escape(folder_name(c.original.folder)),
      html_escape(folder_name(c.quantized.folder)), c.texts, c.tokens, html_escape(c.quantized.engine),
      html_escape(c.quantized.variant), html_escape(c.date), badge(passed ? "passed" : "failed", passed),
      html_escape(sentence(c.verdict())));
}

std::string card(const std::string& what, const std::string& value, const std::string& more) {
  return fmt::format(
      "<div class=\"card\"><div class=\"what\">{}</div><div class=\"value\">{}</div>"
      "<div class=\"more\">{}</div></div>\n",
      html_escape(what), html_escape(value), html_escape(more));
}

std::string cards(const Comparison& c) {
  const StoredSize &x = c.original.size, &y = c.quantized.size;
  const Difference& d = c.tensor(c.listed);
  std::string out = "<div class=\"cards\">\n";
  out += card("Weights", human_bytes(static_cast<double>(y.weight_bytes)),
              fmt::format("from {}, {:.2f} bits a weight", human_bytes(static_cast<double>(x.weight_bytes)),
                          y.bits_per_weight));
  out += card(fmt::format("Cosine of the {}", prose_name(c.listed)), fmt::format("{:.5f}", d.cosine.mean),
              fmt::format("1st percentile {:.4f}, worst {:.4f}", d.cosine.p1, d.cosine.min));
  if (c.vectors)
    out += card("Relative error", fmt::format("{:.4f}", c.vectors->relative_error),
                fmt::format("{:.1f} % of the nearest {} kept", 100 * c.vectors->neighbours_kept,
                            c.vectors->neighbours));
  if (c.labels)
    out += card("Changed labels",
                fmt::format("{:.2f} %", 100.0 * static_cast<double>(c.labels->flips) /
                                            static_cast<double>(c.labels->texts)),
                fmt::format("{} of {} {}", c.labels->flips, c.labels->texts, c.labels->unit()));
  if (!c.task.empty())
    out += card(sentence(c.task[0].metric).substr(0, c.task[0].metric.size()),
                fmt::format("{:.4f}", c.task[0].quantized), fmt::format("from {:.4f}", c.task[0].original));
  if (c.original.measured && c.quantized.measured) {
    const Measurement &m = *c.original.measured, &n = *c.quantized.measured;
    out += card("One text, median", fmt::format("{:.{}f} ms", n.latency.p50, n.latency.p50 < 10 ? 2 : 0),
                fmt::format("from {:.{}f} ms", m.latency.p50, m.latency.p50 < 10 ? 2 : 0));
    out += card("Peak memory", human_bytes(static_cast<double>(n.peak_bytes)),
                fmt::format("from {}", human_bytes(static_cast<double>(m.peak_bytes))));
  }
  return out + "</div>\n";
}

std::string section(const Table& t) {
  std::string out = fmt::format("<section id=\"{}\"><h2>{}</h2><div class=\"scroll\"><table>\n", t.id,
                                html_escape(t.title));
  const auto align = [&](size_t i) { return t.align[i] == Align::right ? " class=\"right\"" : ""; };
  if (!std::ranges::all_of(t.header, &std::string::empty)) {
    out += "<thead><tr>";
    for (size_t i = 0; i < t.header.size(); ++i)
      out += fmt::format("<th{}>{}</th>", align(i), html_escape(t.header[i]));
    out += "</tr></thead>\n";
  }
  out += "<tbody>\n";
  for (const auto& row : t.rows) {
    out += "<tr>";
    for (size_t i = 0; i < row.size(); ++i) {
      const bool result = t.id == "gates" && i + 1 == row.size();
      out += fmt::format("<td{}>{}</td>", align(i),
                         result ? badge(row[i], row[i] == "passed") : html_escape(row[i]));
    }
    out += "</tr>\n";
  }
  out += "</tbody></table></div>";
  if (!t.note.empty()) out += fmt::format("<p class=\"note\">{}</p>", html_escape(t.note));
  return out + "</section>\n";
}

}  // namespace

std::string to_html(const Comparison& c) {
  const std::string title =
      folder_name(c.original.folder) + " compared with " + folder_name(c.quantized.folder);
  std::string out =
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<title>" +
      html_escape(title) + "</title>\n<style>" + kReportStyle + "</style></head>\n<body><main>\n";
  out += page_header(c) + cards(c);
  for (const Table& t : tables(c)) {
    // Each chart is before the table of the same figures.
    if (t.id == "summary") out += speed_bars(c);
    if (t.id == "parts") out += size_chart(c);
    if (t.id == "tensors") out += cosine_chart(c);
    if (t.id == "drift") out += drift_chart(c);
    if (t.id == "layers") out += layer_charts(c);
    out += section(t);
    if (t.id == "parts") out += pareto_chart(c);
  }
  return out + "</main></body></html>\n";
}

}  // namespace mlxe
