#include "compare/tables.h"

#include <fmt/format.h>

#include <cmath>

#include "base/wording.h"

namespace mlxe {
namespace {

std::string cosine(double c) {
  return fmt::format("{:.6f}", c);
}
std::string small(double x) {
  return x == 0 ? "0" : fmt::format("{:.2e}", x);
}
std::string ms(double x) {
  return fmt::format("{:.{}f}", x, x < 10 ? 2 : 0);
}
std::string percent(double fraction) {
  return fmt::format("{:.2f} %", 100 * fraction);
}

// How much less the second is: "6.7x smaller", "1.1x larger", "the same".
std::string ratio(double before, double after, const char* less, const char* more) {
  if (before <= 0 || after <= 0) return "";
  const double factor = before > after ? before / after : after / before;
  if (factor < 1.005) return "the same";
  return fmt::format("{:.{}f}x {}", factor, factor < 10 ? 2 : 1, before > after ? less : more);
}

Table summary(const Comparison& c) {
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

Table differences(std::string id, std::string title, const std::vector<NamedDifference>& list) {
  Table t{std::move(id),
          std::move(title),
          {"tensor", "cosine mean", "1st percentile", "minimum", "MSE", "max difference", "relative", "rows"},
          {},
          {},
          {}};
  t.align.assign(t.header.size(), Align::right);
  t.align[0] = Align::left;
  for (const auto& [name, d] : list)
    t.rows.push_back({name, cosine(d.cosine.mean), cosine(d.cosine.p1), cosine(d.cosine.min), small(d.mse),
                      fmt::format("{:.4f}", d.max_abs), percent(d.relative_max), std::to_string(d.rows)});
  return t;
}

Table gates(const Comparison& c) {
  Table t{"gates",
          "Gates",
          {"gate", "value", "", "limit", "result"},
          {Align::left, Align::right, Align::left, Align::right, Align::left},
          {},
          fmt::format("The cosine limit follows from {:.3g} bits a quantized value.", c.bits)};
  for (const Gate& g : c.gates) {
    const bool floor = g.metric.starts_with("cosine");
    const auto shown = [&](double v) { return floor ? fmt::format("{:.5f}", v) : fmt::format("{:.4g}", v); };
    t.rows.push_back({g.name(), shown(g.value), floor ? "at least" : "at most", shown(g.limit),
                      g.passed ? "passed" : "FAILED"});
  }
  return t;
}

Table task(const Comparison& c) {
  Table t{"task",
          "Task",
          {"against the gold values", "original", "quantized", "change"},
          {Align::left, Align::right, Align::right, Align::right},
          {},
          {}};
  // A correlation with a constant has no value.
  const auto shown = [](double x) { return std::isnan(x) ? "none" : fmt::format("{:.4f}", x); };
  for (const TaskScore& s : c.task) {
    const double change = s.quantized - s.original;
    t.rows.push_back({s.metric, shown(s.original), shown(s.quantized),
                      std::isnan(change) ? "" : fmt::format("{:+.4f}", change)});
  }
  return t;
}

Table labels(const LabelDifference& d) {
  Table t{"labels", "Labels", {"", "value"}, {Align::left, Align::right}, {}, {}};
  t.rows = {{"texts whose label changed",
             fmt::format("{} of {} ({})", d.flips, d.texts, percent(static_cast<double>(d.flips) / d.texts))},
            {"KL divergence, nats", small(d.kl)},
            {"margin, original", fmt::format("{:.4f}", d.margin_original)},
            {"margin, quantized", fmt::format("{:.4f}", d.margin_quantized)}};
  if (d.flips > 0)
    t.rows.push_back({"original's margin where the label changed", fmt::format("{:.4f}", d.margin_flipped)});
  return t;
}

Table flips(const LabelDifference& d) {
  Table t{"flips",
          "Changed labels",
          {"text", "original", "quantized", "margin"},
          {Align::right, Align::left, Align::left, Align::right},
          {},
          {}};
  for (const Flip& f : d.listed)
    t.rows.push_back({std::to_string(f.text + 1), f.original, f.quantized, fmt::format("{:.4f}", f.margin)});
  if (d.flips > static_cast<int64_t>(d.listed.size()))
    t.note = fmt::format("The {} of the largest margin, of {}.", d.listed.size(), d.flips);
  return t;
}

Table worst(const Comparison& c) {
  Table t{"worst",
          fmt::format("Texts with the lowest cosine of the {}", prose_name(c.listed)),
          {"cosine", "tokens", "text"},
          {Align::right, Align::right, Align::left},
          {},
          {}};
  for (const WorstText& w : c.worst)
    t.rows.push_back(
        {cosine(w.cosine), std::to_string(w.tokens), w.pair ? w.text + "  //  " + *w.pair : w.text});
  return t;
}

Table run(const Comparison& c) {
  Table t{"run", "How this was made", {"", ""}, {Align::left, Align::left}, {}, {}};
  const auto add = [&](const char* what, std::string value) {
    if (!value.empty()) t.rows.push_back({what, std::move(value)});
  };
  add("command", c.command);
  add("original", fmt::format("{} ({})", c.original.folder, c.original.model_type));
  add("quantized", fmt::format("{} ({})", c.quantized.folder, c.quantized.model_type));
  add("texts", fmt::format("{} sequences, {} tokens", c.texts, c.tokens));
  add("engine",
      fmt::format("{} ({}), float32 activations on both sides", c.quantized.engine, c.quantized.variant));
  if (c.quantized.measured && c.quantized.measured->threads > 0)
    add("threads", std::to_string(c.quantized.measured->threads));
  add("machine", c.machine);
  add("program", "mlx-encoder " + c.version);
  add("date", c.date);
  for (const std::string& w : c.warnings) add("warning", w);
  return t;
}

// What int8 or bfloat16 activations add to what the stored weights cost, side by side.
Table run_mode(const Comparison& c) {
  const RunMode& m = *c.run_mode;
  Table t{"run_mode",
          "As it is run",
          {"", "float32 activations", m.activations + " activations"},
          {Align::left, Align::right, Align::right},
          {},
          "Original against quantized. Gates look at the first column, the conversion; the second is what a "
          "user of the cpu engine gets (" +
              m.variant + ")."};
  for (size_t i = 0; i < m.tensors.size(); ++i) {
    const Difference &exact = c.tensors[i].difference, &fast = m.tensors[i].difference;
    const std::string& name = m.tensors[i].name;
    t.rows.push_back({name + " cosine, mean", cosine(exact.cosine.mean), cosine(fast.cosine.mean)});
    t.rows.push_back({name + " cosine, 1st percentile", cosine(exact.cosine.p1), cosine(fast.cosine.p1)});
    t.rows.push_back({name + " MSE", small(exact.mse), small(fast.mse)});
    t.rows.push_back({name + " max difference", fmt::format("{:.4f}", exact.max_abs),
                      fmt::format("{:.4f}", fast.max_abs)});
  }
  if (c.labels && m.labels)
    t.rows.push_back(
        {"texts whose label changed", std::to_string(c.labels->flips), std::to_string(m.labels->flips)});
  for (size_t i = 0; i < m.task.size(); ++i)
    t.rows.push_back({m.task[i].metric, fmt::format("{:.4f}", c.task[i].quantized),
                      fmt::format("{:.4f}", m.task[i].quantized)});
  return t;
}

}  // namespace

std::vector<Table> tables(const Comparison& c) {
  std::vector<Table> all{gates(c), summary(c), differences("tensors", "Difference at the output", c.tensors)};
  all[2].note =
      "Cosine of each row (a token of the hidden state, else a text) of the original with its quantized "
      "twin.";
  if (!c.task.empty()) all.push_back(task(c));
  if (c.labels) all.push_back(labels(*c.labels));
  if (c.run_mode) all.push_back(run_mode(c));
  all.push_back(differences("layers", "Difference after each layer", c.layers));
  all.push_back(worst(c));
  if (c.labels && c.labels->flips > 0) all.push_back(flips(*c.labels));
  all.push_back(run(c));
  return all;
}

std::string sentence(std::string text) {
  if (text.empty()) return text;
  if (text[0] >= 'a' && text[0] <= 'z') text[0] = static_cast<char>(text[0] - 'a' + 'A');
  if (text.back() != '.') text += '.';
  return text;
}

std::string prose_name(const std::string& tensor) {
  return tensor == "pooled_vector" ? "sentence vectors" : tensor;
}

}  // namespace mlxe
