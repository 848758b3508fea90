#include "report/tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "base/wording.h"
#include "gates/gate_names.h"
#include "report/label_tables.h"
#include "report/size_tables.h"
#include "report/table_figures.h"

namespace mlxe {
namespace {

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

Table vectors(const Comparison& c) {
  const VectorSpace& v = *c.vectors;
  Table t{
      "vectors",
      "How far the vectors moved, beside how far they lie apart",
      {"", ""},
      {Align::left, Align::right},
      {},
      fmt::format("Relative error: (1 - cosine to the original) / (1 - cosine of different texts). "
                  "Neighbours: by cosine, among {}{} texts; the share depends on their number, so compare "
                  "it on the same texts only.",
                  v.compared < v.texts ? "an even sample of " : "", v.compared)};
  t.rows = {{"different texts", std::to_string(v.texts)},
            {"cosine between different texts of the original, mean", fmt::format("{:.4f}", v.mean_cosine)},
            {"relative error", fmt::format("{:.4g}", v.relative_error)},
            {v.neighbours == 1 ? "nearest text kept" : fmt::format("nearest {} texts kept", v.neighbours),
             percent(v.neighbours_kept)}};
  return t;
}

Table gates(const Comparison& c) {
  Table t{"gates",
          "Gates",
          {"gate", "value", "", "limit", "result"},
          {Align::left, Align::right, Align::left, Align::right, Align::left},
          {},
          fmt::format("The limits of cosine, relative error and neighbours follow from {:.3g} bits a "
                      "quantized value.",
                      c.bits)};
  const bool from_file = std::ranges::any_of(c.gates, [](const Gate& g) { return !g.where.empty(); });
  for (const Gate& g : c.gates) {
    const auto shown = [&](double v) {
      if (const auto kind = gate_kind(g.name()); kind && kind->bytes) return human_bytes(v);
      return g.metric.starts_with("cosine") ? fmt::format("{:.5f}", v) : fmt::format("{:.4g}", v);
    };
    t.rows.push_back({g.name(), shown(g.value), g.at_least() ? "at least" : "at most", shown(g.limit),
                      g.passed ? "passed" : "FAILED"});
    if (!from_file) continue;
    const std::string file = std::filesystem::path(g.where).filename().string();
    const std::string origin = g.where.empty() ? "default" : g.basis.empty() ? file : file + ", " + g.basis;
    t.rows.back().insert(t.rows.back().end() - 1, origin);
  }
  if (from_file) {
    t.header.insert(t.header.end() - 1, "from");
    t.align.push_back(Align::left);
  }
  if (!c.unmeasured.empty()) t.note += fmt::format(" Not measured here: {}.", fmt::join(c.unmeasured, ", "));
  return t;
}

Table drift(const Comparison& c) {
  Table t{"drift",
          "Drift of the outputs' distribution",
          {"two-sample Kolmogorov-Smirnov test", "values a side", "D", "p"},
          {Align::left, Align::right, Align::right, Align::right},
          {},
          "D is the largest distance between the two distribution functions. p counts the values as "
          "independent; they are pairs, so it errs towards 1 and a small one is certain."};
  for (const Drift& d : c.drift)
    t.rows.push_back(
        {d.sample == "similarities"  ? "similarities of texts that follow one another"
         : d.sample == "confidences" ? fmt::format("largest probability of each {}",
                                                   c.labels && c.labels->by_token ? "token" : "text")
                                     : fmt::format("values of the {}", prose_name(c.output)),
         std::to_string(d.original.size()), fmt::format("{:.5f}", d.statistic), fmt::format("{:.4g}", d.p)});
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

// The error of the stored weights beside the error with int8 or bfloat16 activations.
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
  if (c.vectors && m.vectors) {
    t.rows.push_back({"relative error", fmt::format("{:.4g}", c.vectors->relative_error),
                      fmt::format("{:.4g}", m.vectors->relative_error)});
    t.rows.push_back(
        {"nearest texts kept", percent(c.vectors->neighbours_kept), percent(m.vectors->neighbours_kept)});
  }
  if (c.labels && m.labels)
    t.rows.push_back({fmt::format("{} whose label changed", c.labels->unit()),
                      std::to_string(c.labels->flips), std::to_string(m.labels->flips)});
  for (size_t i = 0; i < m.task.size(); ++i)
    t.rows.push_back({m.task[i].metric, fmt::format("{:.4f}", c.task[i].quantized),
                      fmt::format("{:.4f}", m.task[i].quantized)});
  return t;
}

}  // namespace

std::vector<Table> tables(const Comparison& c) {
  std::vector<Table> all{gates(c), summary_table(c)};
  if (!c.quantized.size.groups.empty()) all.push_back(parts_table(c));
  all.push_back(differences("tensors", "Difference at the output", c.tensors));
  all.back().note =
      "Cosine of each row (a token of the hidden state, else a text) of the original with its quantized "
      "twin.";
  if (c.vectors) all.push_back(vectors(c));
  if (!c.drift.empty()) all.push_back(drift(c));
  if (!c.task.empty()) all.push_back(task_table(c));
  if (c.labels) all.push_back(labels_table(*c.labels));
  if (c.labels && c.labels->flips > 0) all.push_back(moves_table(*c.labels));
  if (c.run_mode) all.push_back(run_mode(c));
  all.push_back(differences("layers", "Difference after each layer", c.layers));
  all.push_back(worst(c));
  if (c.labels && c.labels->flips > 0) all.push_back(flips_table(*c.labels));
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
