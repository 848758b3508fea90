#include "report/label_tables.h"

#include <fmt/format.h>

#include <cmath>

#include "report/table_figures.h"

namespace mlxe {

Table task_table(const Comparison& c) {
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

Table labels_table(const LabelDifference& d) {
  Table t{"labels", "Labels", {"", "value"}, {Align::left, Align::right}, {}, {}};
  t.rows = {{fmt::format("{} whose label changed", d.unit()),
             fmt::format("{} of {} ({})", d.flips, d.texts, percent(static_cast<double>(d.flips) / d.texts))},
            {"KL divergence, nats", small(d.kl)},
            {"margin, original", fmt::format("{:.4f}", d.margin_original)},
            {"margin, quantized", fmt::format("{:.4f}", d.margin_quantized)}};
  if (d.flips > 0)
    t.rows.push_back({"original's margin where the label changed", fmt::format("{:.4f}", d.margin_flipped)});
  return t;
}

Table moves_table(const LabelDifference& d) {
  Table t{"moves",
          "From which label to which",
          {"original", "quantized", d.unit(), "of all"},
          {Align::left, Align::left, Align::right, Align::right},
          {},
          {}};
  for (const LabelMove& m : d.moves)
    t.rows.push_back({m.original, m.quantized, std::to_string(m.texts),
                      percent(static_cast<double>(m.texts) / static_cast<double>(d.texts))});
  return t;
}

Table flips_table(const LabelDifference& d) {
  Table t{"flips",
          "Changed labels",
          {"", "original", "quantized", "margin", "text"},
          {Align::right, Align::left, Align::left, Align::right, Align::left},
          {},
          {}};
  for (const Flip& f : d.listed)
    t.rows.push_back(
        {std::to_string(f.text + 1), f.original, f.quantized, fmt::format("{:.4f}", f.margin), f.content});
  if (d.flips > static_cast<int64_t>(d.listed.size()))
    t.note = fmt::format("The {} of the largest margin, of {}.", d.listed.size(), d.flips);
  return t;
}

}  // namespace mlxe
