#include "sweep/sweep_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/wording.h"
#include "mlx_encoder/version.h"
#include "report/chart.h"
#include "report/report_text.h"
#include "sweep/cell_record.h"

namespace mlxe {
namespace {

using Json = nlohmann::ordered_json;

std::string size_of(const SweepCell& c) {
  return c.bytes == 0 ? "" : fmt::format("{:.1f}", mib(c.bytes));
}

std::string figure(double value, int digits) {
  return std::isfinite(value) ? fmt::format("{:.{}f}", value, digits) : "none";
}

std::string verdict(const SweepResult& result, const SweepCell& c) {
  if (c.state == CellState::failed) return fmt::format("error: {}", name(*c.error));
  if (c.state == CellState::planned) return "to do";
  if (c.passed()) return &c == result.recommended(c.model) ? "passed, recommended" : "passed";
  std::vector<std::string> failed;
  for (const Gate& g : c.gates)
    if (!g.passed) failed.push_back(g.name());
  return "FAILED " + listed(failed, 2);
}

// Models in the order of the table, each once.
std::vector<std::string> models_of(const SweepResult& result) {
  std::vector<std::string> models;
  for (const SweepCell& c : result.cells)
    if (models.empty() || models.back() != c.model) models.push_back(c.model);
  return models;
}

// Where and with what the cells were measured: one line, unless records come from several machines or days.
std::vector<std::string> measured_with(const SweepResult& result) {
  std::vector<std::string> lines;
  for (const SweepCell& c : result.cells) {
    if (!c.is_done()) continue;
    std::string line = fmt::format("mlx-encoder {}, {} engine ({}), {}, {}", c.version, c.engine, c.variant,
                                   c.machine, c.date);
    if (std::ranges::find(lines, line) == lines.end()) lines.push_back(std::move(line));
  }
  return lines;
}

// No task, no labels, nothing measured yet.
void leave_out_empty_columns(Table& t) {
  for (size_t i = t.header.size(); i-- > 0;) {
    if (std::ranges::any_of(t.rows, [&](const auto& row) { return !row[i].empty(); })) continue;
    const auto at = static_cast<std::ptrdiff_t>(i);
    t.header.erase(t.header.begin() + at);
    t.align.erase(t.align.begin() + at);
    for (auto& row : t.rows) row.erase(row.begin() + at);
  }
}

std::string bullet_list(const char* title, const std::vector<std::string>& lines) {
  if (lines.empty()) return "";
  std::string out = fmt::format("\n## {}\n\n", title);
  for (const std::string& line : lines) out += "- " + markdown_escape(line) + "\n";
  return out;
}

}  // namespace

Table sweep_table(const SweepResult& result) {
  Table t{.id = "matrix",
          .title = "Models and schemes",
          .header = {"model", "scheme", "MiB", "bits per weight", "cosine mean", "1st percentile", "minimum",
                     "relative error", "neighbours %", "task", "original", "converted", "flips %", "verdict"},
          .align = std::vector<Align>(14, Align::right),
          .rows = {},
          .note = {}};
  for (const size_t left : {0, 1, 9, 13}) t.align[left] = Align::left;
  for (const SweepCell& c : result.cells) {
    std::vector<std::string> row{c.model, c.scheme, size_of(c),
                                 c.bytes == 0 ? "" : fmt::format("{:.2f}", c.bits_per_weight)};
    row.resize(t.header.size());
    if (c.is_done()) {
      row[4] = figure(c.cosine_mean, 5);
      row[5] = figure(c.cosine_p1, 4);
      row[6] = figure(c.cosine_min, 4);
      if (c.vectors) {
        row[7] = figure(c.vectors->relative_error, 4);
        row[8] = figure(100 * c.vectors->neighbours_kept, 1);
      }
      if (!c.metric.empty()) {
        row[9] = c.metric;
        row[10] = figure(c.original, 4);
        row[11] = figure(c.value, 4);
      }
      if (c.flips) row[12] = fmt::format("{:.2f}", 100 * *c.flips);
    }
    row[13] = verdict(result, c);
    t.rows.push_back(std::move(row));
  }
  leave_out_empty_columns(t);
  return t;
}

std::vector<std::string> recommendations(const SweepResult& result) {
  std::vector<std::string> lines;
  for (const std::string& model : models_of(result)) {
    const auto of_model = [&](const SweepCell& c) { return c.model == model; };
    const bool complete = std::ranges::all_of(
        result.cells, [&](const SweepCell& c) { return !of_model(c) || c.state != CellState::planned; });
    if (const SweepCell* best = result.recommended(model))
      lines.push_back(fmt::format("{}: {}, {:.1f} MiB of {:.1f}, mean cosine {}{}", model, best->scheme,
                                  mib(best->bytes), mib(best->original_bytes), figure(best->cosine_mean, 5),
                                  complete ? "" : " (so far)"));
    else if (complete)
      lines.push_back(fmt::format("{}: none of the schemes passes its gates", model));
  }
  return lines;
}

std::vector<std::string> problems(const SweepResult& result) {
  std::vector<std::string> lines;
  for (const SweepCell& c : result.cells) {
    if (c.state == CellState::failed) lines.push_back(fmt::format("{} {}: {}", c.model, c.scheme, c.message));
    if (!c.is_done()) continue;
    for (const Gate& g : c.gates)
      if (!g.passed) lines.push_back(fmt::format("{} {}: {}", c.model, c.scheme, g.failure()));
  }
  return lines;
}

std::string to_json(const SweepResult& result) {
  Json report{{"version", kVersion}, {"status", result.status()}, {"cells", Json::array()}};
  for (const SweepCell& c : result.cells) report["cells"].push_back(cell_json(c));
  report["recommended"] = Json::object();
  for (const std::string& model : models_of(result)) {
    const SweepCell* best = result.recommended(model);
    report["recommended"][model] = best != nullptr ? Json(best->scheme) : Json(nullptr);
  }
  return report.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string to_markdown(const SweepResult& result) {
  const Table t = sweep_table(result);
  std::string out = "# Models and schemes\n\n";
  const auto line = [&](const std::vector<std::string>& cells) {
    for (const std::string& cell : cells) out += "| " + markdown_escape(cell) + " ";
    out += "|\n";
  };
  line(t.header);
  for (const Align a : t.align) out += a == Align::right ? "|---:" : "|:---";
  out += "|\n";
  for (const auto& row : t.rows) line(row);
  out +=
      "\nCosine: of what a user sees (sentence vectors, a classifier's logits) of the converted model with "
      "the "
      "original's, float32 activations on both sides. Relative error: (1 - cosine) / (1 - mean cosine of the "
      "original's vectors of different texts). Neighbours: the nearest texts that are still among the "
      "nearest. Flips: items whose label changed.\n";
  for (const std::string& with : measured_with(result)) out += "\n" + markdown_escape(with) + "\n";
  out += "\n![1 - cosine against size](matrix.svg)\n";
  out += bullet_list("Recommended: the smallest that passes its gates", recommendations(result));
  out += bullet_list("What went wrong", problems(result));
  std::vector<std::string> warnings;
  for (const SweepCell& c : result.cells)
    for (const std::string& w : c.warnings)
      warnings.push_back(fmt::format("{} {}: {}", c.model, c.scheme, w));
  return out + bullet_list("Warnings", warnings);
}

std::string to_svg(const SweepResult& result) {
  LineChart chart{.title = "What a model's size buys",
                  .x_label = "MiB",
                  .y_label = "1 - mean cosine (lower is better)",
                  .lines = {},
                  .y_scale = Scale::logarithmic};
  for (const std::string& model : models_of(result)) {
    std::vector<const SweepCell*> cells;
    for (const SweepCell& c : result.cells)
      if (c.model == model && c.is_done()) cells.push_back(&c);
    std::ranges::sort(cells, [](const SweepCell* a, const SweepCell* b) {
      return a->bytes != b->bytes ? a->bytes < b->bytes : a->cosine_mean > b->cosine_mean;
    });
    ChartLine line{.name = model, .points = {}};
    double best = -2;  // a cell that a smaller one beats is nothing to choose
    for (const SweepCell* c : cells) {
      if (!(c->cosine_mean > best)) continue;
      best = c->cosine_mean;
      line.points.emplace_back(mib(c->bytes), 1 - c->cosine_mean);
    }
    chart.lines.push_back(std::move(line));
  }
  return to_svg(chart);
}

}  // namespace mlxe
