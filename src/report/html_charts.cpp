#include "report/html_charts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <functional>
#include <map>
#include <tuple>
#include <utility>
#include <vector>

#include "base/wording.h"
#include "report/chart.h"
#include "report/report_text.h"
#include "report/tables.h"

namespace mlxe {
namespace {

// The drawing belongs to the page, so its XML namespace is not needed: nothing in the page is an address.
std::string figure(std::string svg) {
  const std::string space = " xmlns=\"http://www.w3.org/2000/svg\"";
  if (const size_t at = svg.find(space); at != std::string::npos) svg.erase(at, space.size());
  return "<section><figure>" + svg + "</figure></section>\n";
}

}  // namespace

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

// A file of the model folder, which may be anybody's: as an image its scripts don't run.
std::string pareto_chart(const Comparison& c) {
  if (c.pareto_chart.empty()) return {};
  std::string url = "data:image/svg+xml,";
  for (const char character : c.pareto_chart) {
    const auto byte = static_cast<unsigned char>(character);
    if (byte < 0x80 && std::isalnum(byte))
      url += character;
    else
      url += fmt::format("%{:02X}", byte);
  }
  return fmt::format(
      "<section><h2>What the bits were chosen from</h2><figure>"
      "<img alt=\"size against fidelity, with the chosen point\" src=\"{}\"/></figure></section>\n",
      url);
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

// Both sides' values over one another: where the outlines part, the distribution drifted.
std::string drift_chart(const Comparison& c) {
  const Drift& d = c.drift.front();
  return figure(to_svg(Histogram{
      .title = d.sample == "confidences"    ? "Largest probability of each text, before and after"
               : d.sample == "similarities" ? "Similarity of texts that follow one another, before and after"
                                            : "Values of the output, before and after",
      .x_label = d.sample == "confidences"    ? "probability"
                 : d.sample == "similarities" ? "cosine"
                                              : "value",
      .series = {{"original", d.original}, {"quantized", d.quantized}}}));
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

}  // namespace mlxe
