// mlx-encoder evaluate: how well a model does a task, and the change by a conversion.
#include "mlx_encoder/evaluate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "arguments.h"
#include "command.h"
#include "compare/gate_values.h"
#include "gates/baseline.h"
#include "gates/quality.h"
#include "mlx_encoder/error.h"
#include "model_names.h"
#include "print_json.h"
#include "print_table.h"
#include "quality_options.h"
#include "report/json_parts.h"
#include "texts.h"

namespace mlxe::cli {
namespace {

struct EvaluateArguments {
  RunOptions run;
  std::filesystem::path original, data;
  std::string task;
  TaskDataOptions reading;
  std::vector<std::string> columns;
  EvaluateOptions evaluating;
  std::string tagging = "lenient";
  size_t flips = 0;
  std::filesystem::path gates, save_baseline;
  const CLI::App* command = nullptr;
};

// Errors: usage (an option that this run has no use for).
void require_effects(const EvaluateArguments& o, Task task) {
  static const std::pair<const char*, std::vector<Task>> of_tasks[] = {
      {"--qrels", {Task::retrieval}},
      {"--tagging", {Task::ner}},
      {"--query-prompt", {Task::rerank, Task::retrieval}},
      {"--document-prompt", {Task::rerank, Task::retrieval}},
      {"--flips", {Task::classification, Task::nli, Task::ner}},
      {"--input-format", {Task::similarity, Task::classification, Task::nli, Task::ner, Task::rerank}}};
  const auto given = [&](const char* option) { return o.command->get_option(option)->count() > 0; };
  for (const auto& [option, tasks] : of_tasks)
    if (given(option) && std::ranges::find(tasks, task) == tasks.end()) {
      std::vector<const char*> names;
      for (const Task t : tasks) names.push_back(name(t));
      throw Error(ErrorCode::usage, fmt::format("{}: the task {} has no use for it; leave it out, or use {}",
                                                option, name(task), fmt::join(names, ", ")));
    }
  for (const char* option : {"--flips", "--resamples", "--confidence", "--seed"})
    if (given(option) && o.original.empty())
      throw Error(ErrorCode::usage,
                  fmt::format("{}: nothing is compared; add --original FOLDER, or leave it out", option));
}

std::string number(double value) {
  return std::isfinite(value) ? fmt::format("{:.4f}", value) : "none";
}

std::string signed_number(double value) {
  return std::isfinite(value) ? fmt::format("{:+.4f}", value) : "none";
}

Table metrics(const Evaluation& e) {
  Table t{.id = "metrics", .title = "Metrics", .header = {"", "value"}, .align = {Align::left, Align::right}};
  if (e.original) {
    t.header = {"", "original", "evaluated", "difference",
                fmt::format("{:g} % interval", 100 * e.bootstrap.confidence)};
    t.align = {Align::left, Align::right, Align::right, Align::right, Align::left};
    t.note = fmt::format("Paired bootstrap of the difference, {} resamples of the same items.",
                         e.bootstrap.resamples);
  }
  for (const TaskFigure& f : e.figures) {
    if (!e.original) {
      t.rows.push_back({f.metric, number(f.value)});
      continue;
    }
    t.rows.push_back(
        {f.metric, number(*f.original), number(f.value), signed_number(f.value - *f.original),
         f.difference ? fmt::format("{:+.4f} to {:+.4f}", f.difference->low, f.difference->high) : "none"});
  }
  return t;
}

Table labels(const Evaluation& e) {
  Table t{.id = "labels",
          .title = "Labels",
          .header = {"", "gold", "precision", "recall", "F1"},
          .align = {Align::left, Align::right, Align::right, Align::right, Align::right}};
  if (e.original) {
    t.header.push_back("original's F1");
    t.align.push_back(Align::right);
  }
  for (const LabelFigure& l : e.labels) {
    t.rows.push_back({l.label, std::to_string(l.gold), number(l.precision), number(l.recall), number(l.f1)});
    if (l.original_f1) t.rows.back().push_back(number(*l.original_f1));
  }
  return t;
}

void print_flips(const Evaluation& e, const TaskData& data, size_t most) {
  const McNemar& m = *e.mcnemar;
  const int64_t all = e.words > 0 ? e.words : e.items;
  std::cout << fmt::format(
      "\nFlips: {} of {} ({:.2f} %): {} lost, {} gained, {} wrong both ways; McNemar's p = {:.4g} ({})\n",
      e.flips.size(), all, 100.0 * static_cast<double>(e.flips.size()) / static_cast<double>(all),
      m.only_original, m.only_evaluated,
      static_cast<int64_t>(e.flips.size()) - m.only_original - m.only_evaluated, m.p,
      m.exact ? "exact" : "chi-square");
  for (size_t i = 0; i < std::min(most, e.flips.size()); ++i) {
    const FlippedItem& f = e.flips[i];
    const TextInput& text = data.texts[f.item];
    std::cout << fmt::format("  {} {}: gold {}, original {}, evaluated {}\n    {}\n", data.unit,
                             data.lines[f.item], f.gold, f.original, f.evaluated, text.text);
    if (text.pair) std::cout << "    " << *text.pair << '\n';
  }
}

void print(const Evaluation& e, const TaskData& data, size_t flips) {
  std::cout << fmt::format("{}: {} {}{}; {} engine ({}), {} activations\n", name(e.task), e.items,
                           e.documents > 0 ? "queries"
                           : e.words > 0   ? "sentences"
                                           : "items",
                           e.documents > 0 ? fmt::format(", {} documents", e.documents)
                           : e.words > 0   ? fmt::format(", {} words", e.words)
                                           : "",
                           e.model.engine, e.model.variant,
                           e.model.activations == "f32" ? "float32" : e.model.activations);
  if (!e.labels.empty()) print_table(labels(e));
  print_table(metrics(e));
  if (e.mcnemar) print_flips(e, data, flips);
}

int evaluate_model(EvaluateArguments o) {
  for (const std::string& c : o.columns) {
    const size_t equals = c.find('=');
    if (equals == std::string::npos || equals == 0 || equals + 1 == c.size())
      throw Error(ErrorCode::usage, fmt::format("--column {}: expected ROLE=NAME, e.g. text=premise", c));
    o.reading.columns[c.substr(0, equals)] = c.substr(equals + 1);
  }
  const Task task = parse_task(o.task);
  require_effects(o, task);
  o.evaluating.tagging = parse_tagging(o.tagging);
  o.evaluating.engine = parse_engine(o.run.engine);
  o.evaluating.activations = parse_activations(o.run.activations);
  o.evaluating.threads = o.run.threads;
  o.evaluating.max_length = o.run.max_length;
  o.evaluating.allow_unknown = o.run.allow_unknown;
  o.evaluating.warning = warnings(o.run.strictness());
  for (const auto& folder : {o.run.folder, o.original})
    if (!folder.empty()) tell_changed_files(folder, o.run.strictness(), o.evaluating.warning);
  o.evaluating.progress = progress();
  std::optional<QualityFile> quality;  // read before the long run, so that mistakes are reported at once
  if (!o.gates.empty()) quality = read_quality_file(o.gates);
  if (!o.save_baseline.empty()) require_baseline_place(o.save_baseline);
  const TaskData data = read_task_data(task, o.data == "-" ? "/dev/stdin" : o.data, o.reading);
  const Evaluation e = evaluate(o.run.folder, o.original, task, data, o.evaluating);
  QualityCheck check;
  if (quality) check = check_quality(*quality, to_gate_values(e), {}, {}, o.evaluating.warning);
  if (!o.save_baseline.empty()) save_baseline(o.save_baseline, to_gate_values(e));
  if (o.run.json) {
    auto json = nlohmann::ordered_json::parse(to_json(e, data));
    if (quality) {
      json["gates"] = gates_json(check.gates);
      json["unmeasured_gates"] = check.unmeasured;
    }
    print_json(json, 2);
  } else {
    print(e, data, o.flips);
  }
  return report_gates(check.gates);
}

}  // namespace

void add_evaluate(CLI::App& app, Run& run) {
  CLI::App* command = app.add_subcommand(
      "evaluate", "Score a model on a task; with --original also test whether a conversion scores as well");
  auto o = std::make_shared<EvaluateArguments>();
  o->command = command;
  o->run.activations = "f32";  // judges only the stored weights, as in compare
  o->run.add_to(*command);
  command->add_option("--original", o->original, "Original model, to run on the same items: " + kModelForms);
  command->add_option("--task", o->task, "similarity, classification, nli, ner, rerank or retrieval")
      ->required();
  command
      ->add_option("--data", o->data,
                   "Items with gold answers: a .tsv, .jsonl or .parquet file, or - for standard input; "
                   "retrieval: a folder in "
                   "the layout of BEIR")
      ->required();
  command->add_option("--input-format", o->reading.format,
                      "tsv, jsonl, parquet or (ner) conll [by the file's ending]");
  command
      ->add_option("--column", o->columns,
                   "ROLE=NAME: the column of a role (text, pair, label, score, ...; docs/evaluate.md); may "
                   "be repeated")
      ->allow_extra_args(false);
  command->add_option("--qrels", o->reading.qrels,
                      "Judgements for retrieval [qrels/test.tsv or qrels.tsv of the folder]");
  command
      ->add_option(
          "--tagging", o->tagging,
          "How tags form spans in ner: lenient (seqeval's default), or strict: IOB1, IOB2, BIOES, BILOU")
      ->capture_default_str();
  command->add_option("--limit", o->reading.limit, "Use only the first N items")->check(at_least(1));
  command->add_option("--query-prompt", o->evaluating.query_prompt,
                      "Name of the prompt for queries [query, if the model has it]");
  command->add_option("--document-prompt", o->evaluating.document_prompt,
                      "Name of the prompt for documents [document or passage, if the model has it]");
  command
      ->add_option("--resamples", o->evaluating.bootstrap.resamples,
                   "Bootstrap resamples, for the interval of the difference to the original")
      ->check(at_least(1))
      ->capture_default_str();
  command->add_option("--confidence", o->evaluating.bootstrap.confidence, "Confidence level of that interval")
      ->check(between(0.5, 0.9999))
      ->capture_default_str();
  command->add_option("--seed", o->evaluating.bootstrap.seed, "Seed of the bootstrap")->capture_default_str();
  command->add_option("--flips", o->flips, "Print the first N items whose label changed (--json lists all)");
  add_quality(*command, o->gates, &o->save_baseline);
  command->callback([o, &run] { run = [o] { return evaluate_model(*o); }; });
}

}  // namespace mlxe::cli
