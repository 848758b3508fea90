// The report as one HTML page: style and pictures are inside, nothing is fetched, it prints well.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/wording.h"
#include "compare/chart.h"
#include "compare/report_style.h"
#include "compare/report_text.h"
#include "compare/tables.h"
#include "mlx_encoder/compare.h"

namespace mlxe {
namespace {

// The last name of a path; with the one before it where that says little.
std::string folder_name(const std::string& folder) {
  std::filesystem::path path = std::filesystem::path(folder).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();
  const std::string name = path.filename().string(), parent = path.parent_path().filename().string();
  return name == "model" && !parent.empty() ? parent + "/" + name : name;
}

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
  if (c.labels)
    out += card("Changed labels",
                fmt::format("{:.2f} %", 100.0 * static_cast<double>(c.labels->flips) /
                                            static_cast<double>(c.labels->texts)),
                fmt::format("{} of {} texts", c.labels->flips, c.labels->texts));
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

// The drawing belongs to the page, so its XML namespace is not needed: nothing in the page is an address.
std::string figure(std::string svg) {
  const std::string space = " xmlns=\"http://www.w3.org/2000/svg\"";
  if (const size_t at = svg.find(space); at != std::string::npos) svg.erase(at, space.size());
  return "<section><figure>" + svg + "</figure></section>\n";
}

std::string size_chart(const Comparison& c) {
  std::map<std::string, uint64_t> largest;
  for (const auto* side : {&c.original, &c.quantized})
    for (const auto& [part, bytes] : side->size.parts) largest[part] = std::max(largest[part], bytes);
  std::vector<std::pair<uint64_t, std::string>> parts;
  for (const auto& [name, bytes] : largest) parts.emplace_back(bytes, name);
  std::ranges::sort(parts, std::greater<>());
  StackedBars chart{
      .title = "Where the bytes are", .x_label = "MiB", .rows = {"original", "quantized"}, .series = {}};
  for (const auto& [bytes, name] : parts) {
    ChartSeries series{name, {}};
    for (const auto* side : {&c.original, &c.quantized}) {
      const auto found = side->size.parts.find(name);
      series.values.push_back(found == side->size.parts.end() ? 0 : mib(found->second));
    }
    chart.series.push_back(std::move(series));
  }
  return figure(to_svg(chart));
}

std::string layer_charts(const Comparison& c) {
  const std::string x = "layer (0: embeddings)";
  LineChart cosine{.title = "Cosine with the original, layer by layer",
                   .x_label = x,
                   .y_label = "cosine of token vectors",
                   .lines = {{"mean", {}}, {"1st percentile", {}}, {"worst token", {}}}};
  LineChart mse{
      .title = "Mean squared error, layer by layer", .x_label = x, .y_label = "MSE", .lines = {{"MSE", {}}}};
  for (size_t i = 0; i < c.layers.size(); ++i) {
    const Difference& d = c.layers[i].difference;
    const double layer = static_cast<double>(i);
    cosine.lines[0].points.emplace_back(layer, d.cosine.mean);
    cosine.lines[1].points.emplace_back(layer, d.cosine.p1);
    cosine.lines[2].points.emplace_back(layer, d.cosine.min);
    mse.lines[0].points.emplace_back(layer, d.mse);
  }
  return figure(to_svg(cosine)) + figure(to_svg(mse));
}

std::string cosine_chart(const Comparison& c) {
  return figure(to_svg(Histogram{.title = fmt::format("Cosine of the {}, text by text", prose_name(c.listed)),
                                 .x_label = "cosine with the original",
                                 .series = {{"texts", c.text_cosines}}}));
}

// One pair of bars a measure, each pair on a scale of its own.
std::string speed_bars(const Comparison& c) {
  if (!c.original.measured || !c.quantized.measured) return {};
  const Measurement &m = *c.original.measured, &n = *c.quantized.measured;
  std::string out =
      "<section><h2>Speed and memory, each model in a process of its own</h2><div class=\"bars\">\n";
  const auto pair = [&](const char* name, double before, double after, const std::string& a,
                        const std::string& b) {
    const double largest = std::max({before, after, 1e-300});
    out += fmt::format("<div class=\"group\">{}</div>", name);
    for (const auto& [side, value, text] :
         {std::tuple("original", before, &a), std::tuple("quantized", after, &b)})
      out += fmt::format(
          "<span class=\"name\">{0}</span><span class=\"track\"><i class=\"{0}\" "
          "style=\"width:{1:.1f}%\"></i>"
          "</span><span class=\"amount\">{2}</span>\n",
          side, 100 * value / largest, html_escape(*text));
  };
  const auto ms = [](double v) { return fmt::format("{:.{}f} ms", v, v < 10 ? 2 : 0); };
  pair("One text, median (shorter is better)", m.latency.p50, n.latency.p50, ms(m.latency.p50),
       ms(n.latency.p50));
  pair("One text, 99th percentile (shorter is better)", m.latency.p99, n.latency.p99, ms(m.latency.p99),
       ms(n.latency.p99));
  const double before = m.throughput.texts_per_second, after = n.throughput.texts_per_second;
  pair("Texts per second (longer is better)", before, after, fmt::format("{:.0f}", before),
       fmt::format("{:.0f}", after));
  pair("Cold start (shorter is better)", m.cold_start.median, n.cold_start.median, ms(m.cold_start.median),
       ms(n.cold_start.median));
  const double p = static_cast<double>(m.peak_bytes), q = static_cast<double>(n.peak_bytes);
  pair("Peak memory (shorter is better)", p, q, human_bytes(p), human_bytes(q));
  return out + "</div></section>\n";
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
    // Each picture stands before the table of what it shows.
    if (t.id == "summary") out += size_chart(c) + speed_bars(c);
    if (t.id == "tensors") out += cosine_chart(c);
    if (t.id == "layers") out += layer_charts(c);
    out += section(t);
  }
  return out + "</main></body></html>\n";
}

}  // namespace mlxe
