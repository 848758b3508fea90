#include "report/size_tables.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/wording.h"
#include "report/table_figures.h"

namespace mlxe {
namespace {

// How much less the second is: "6.7x smaller", "1.1x larger", "the same".
std::string ratio(double before, double after, const char* less, const char* more) {
  if (before <= 0 || after <= 0) return "";
  const double factor = before > after ? before / after : after / before;
  if (factor < 1.005) return "the same";
  return fmt::format("{:.{}f}x {}", factor, factor < 10 ? 2 : 1, before > after ? less : more);
}

}  // namespace

Table summary_table(const Comparison& c) {
  Table t{"summary",
          "Size and speed",
          {"", "original", "quantized", ""},
          {Align::left, Align::right, Align::right, Align::right},
          {},
          {}};
  const auto add = [&](const char* what, std::string a, std::string b, std::string remark = "") {
    t.rows.push_back({what, std::move(a), std::move(b), std::move(remark)});
  };
  const StoredSize &x = c.original.size, &y = c.quantized.size;
  add("stored as", x.scheme, y.scheme);
  add("weights", human_bytes(x.weight_bytes), human_bytes(y.weight_bytes),
      ratio(x.weight_bytes, y.weight_bytes, "smaller", "larger"));
  add("whole folder", human_bytes(x.folder_bytes), human_bytes(y.folder_bytes));
  add("bits per weight", fmt::format("{:.2f}", x.bits_per_weight), fmt::format("{:.2f}", y.bits_per_weight));
  add("parameters", human_count(static_cast<double>(x.parameters)),
      human_count(static_cast<double>(y.parameters)));
  if (!c.original.measured || !c.quantized.measured) return t;

  const Measurement &m = *c.original.measured, &n = *c.quantized.measured;
  add("peak memory", human_bytes(m.peak_bytes), human_bytes(n.peak_bytes),
      ratio(m.peak_bytes, n.peak_bytes, "less", "more"));
  add("memory once loaded", human_bytes(m.loaded_bytes), human_bytes(n.loaded_bytes),
      ratio(m.loaded_bytes, n.loaded_bytes, "less", "more"));
  add("cold start, ms", ms(m.cold_start.median), ms(n.cold_start.median),
      ratio(m.cold_start.median, n.cold_start.median, "faster", "slower"));
  add("one text p50, ms", ms(m.latency.p50), ms(n.latency.p50),
      ratio(m.latency.p50, n.latency.p50, "faster", "slower"));
  add("one text p95, ms", ms(m.latency.p95), ms(n.latency.p95));
  add("one text p99, ms", ms(m.latency.p99), ms(n.latency.p99));
  add("texts per second", fmt::format("{:.0f}", m.throughput.texts_per_second),
      fmt::format("{:.0f}", n.throughput.texts_per_second),
      ratio(n.throughput.texts_per_second, m.throughput.texts_per_second, "faster", "slower"));
  add("tokens per second", fmt::format("{:.0f}", m.throughput.tokens_per_second),
      fmt::format("{:.0f}", n.throughput.tokens_per_second));
  const auto spread = [](const Measurement& s) {
    return fmt::format(
        "start {:.0f}-{:.0f} ms ({} runs), p50 {}-{} ms ({} passes of {} texts after {} to warm up), "
        "{:.0f}-{:.0f} texts/s ({} passes of {})",
        s.cold_start.min, s.cold_start.max, s.cold_start.repeats, ms(s.latency.pass_min),
        ms(s.latency.pass_max), s.latency.passes, s.latency.texts, s.latency.warm_up, s.throughput.min,
        s.throughput.max, s.throughput.passes, s.throughput.texts);
  };
  t.note = fmt::format(
      "Each model in a process of its own, one after the other, files in cache. Spread: original {}; "
      "quantized {}.",
      spread(m), spread(n));
  return t;
}

// The scheme and bytes of each part, beside the bytes in the original.
Table parts_table(const Comparison& c) {
  Table t{"parts",
          "What is stored how",
          {"part", "stored as", "tensors", "values", "bits a value", "size", "was"},
          {Align::left, Align::left, Align::right, Align::right, Align::right, Align::right, Align::right},
          {},
          {}};
  for (const StoredSize::Group& g : c.quantized.size.groups) {
    int64_t parameters = 0;  // of the original's group of the same tensors, if it is one group
    uint64_t bytes = 0;
    for (const StoredSize::Group& o : c.original.size.groups)
      if (o.part == g.part) {
        parameters += o.parameters;
        bytes += o.bytes;
      }
    const double was = parameters == 0 ? 0 : static_cast<double>(bytes) / static_cast<double>(parameters);
    t.rows.push_back({g.part, g.scheme, std::to_string(g.tensors),
                      human_count(static_cast<double>(g.parameters)),
                      fmt::format("{:.2f}", 8 * static_cast<double>(g.bytes) /
                                                static_cast<double>(std::max<int64_t>(g.parameters, 1))),
                      human_bytes(static_cast<double>(g.bytes)),
                      was == 0 ? "" : human_bytes(was * static_cast<double>(g.parameters))});
  }
  return t;
}

}  // namespace mlxe
