// mlx-encoder compare: the cost of a conversion.
#include "mlx_encoder/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <iostream>
#include <memory>
#include <optional>
#include <set>

#include "arguments.h"
#include "base/output_file.h"
#include "base/text.h"
#include "command.h"
#include "compare/gate_values.h"
#include "convert/model_card.h"
#include "gates/baseline.h"
#include "gates/quality.h"
#include "measured_process.h"
#include "mlx_encoder/error.h"
#include "model_names.h"
#include "print_table.h"
#include "quality_options.h"
#include "report/tables.h"
#include "texts.h"

namespace mlxe::cli {
namespace {

constexpr size_t kMeasuredTexts = 256;

struct CompareArguments {
  std::filesystem::path original, quantized;
  TextSource texts;
  RunOptions run;  // its folder is not used
  size_t limit = 0;
  std::string labels, scores;
  bool gate = false, no_speed = false, update_card = false;
  std::optional<double> gate_cosine;
  GateLimits limits;
  std::vector<std::string> gates;
  std::filesystem::path gates_file, save_baseline;
  double seconds = 2;
  const CLI::Option* seconds_option = nullptr;
  std::filesystem::path report;
  std::string command;
};

// A column of gold values. A column named by the user must exist; the usual column is optional.
struct Gold {
  const std::string& named;
  const char* usual;
  std::vector<std::string> values = {};

  std::string column() const { return named.empty() ? usual : named; }

  // Adds the value of the text `index`. Either all rows have a value, or none has.
  void take(const std::optional<std::string>& cell, size_t index, const std::string& where,
            const TextRow& row) {
    const bool so_far = values.size() == index;
    if (cell && so_far) values.push_back(*cell);
    if (cell || !so_far) return;
    if (index > 0)
      throw Error(
          ErrorCode::format,
          fmt::format(
              "{}: {} {}: \"{}\" is missing or neither a string nor a number; all rows need one, or none",
              where, row.unit, row.line, column()));
    if (!named.empty())
      throw Error(ErrorCode::usage,
                  fmt::format("{}: no column \"{}\"; name a column of the file", where, named));
  }
};

std::vector<double> numbers(const std::vector<std::string>& values) {
  std::vector<double> numbers;
  for (size_t i = 0; i < values.size(); ++i) {
    const std::optional<double> number = finite_number(values[i]);
    if (!number)
      throw Error(ErrorCode::format,
                  fmt::format("text {}: the gold score \"{}\" is not a finite number", i + 1, values[i]));
    numbers.push_back(*number);
  }
  return numbers;
}

CompareInput read_input(const CompareArguments& o, const Warning& warn) {
  CompareInput input;
  Gold labels{o.labels, "label"}, scores{o.scores, "score"};
  o.texts.read_rows({labels.column(), scores.column()}, warn, [&](TextRow row) {
    const size_t index = input.texts.size();
    if (o.limit > 0 && index == o.limit) return;
    labels.take(row.cells[0], index, o.texts.where(), row);
    scores.take(row.cells[1], index, o.texts.where(), row);
    input.texts.push_back(std::move(row.input));
  });
  input.labels = std::move(labels.values);
  input.scores = numbers(scores.values);
  return input;
}

// A sample of the texts, spread evenly over all of them.
std::vector<TextInput> sample(const std::vector<TextInput>& texts) {
  const size_t count = std::min(kMeasuredTexts, texts.size());
  std::vector<TextInput> chosen;
  for (size_t i = 0; i < count; ++i) chosen.push_back(texts[i * texts.size() / count]);
  return chosen;
}

// Prints the most important tables last, next to the prompt. The others are in the report.
void print_tables(const Comparison& c) {
  std::cout << fmt::format("{} texts, {} tokens; {} engine ({}), float32 activations\n", c.texts, c.tokens,
                           c.quantized.engine, c.quantized.variant);
  for (const char* id :
       {"summary", "layers", "tensors", "vectors", "drift", "task", "labels", "run_mode", "gates"})
    for (const Table& t : tables(c))
      if (t.id == id) print_table(t);
}

using ReportWriter = std::string (*)(const Comparison&);

// Writes the report that the name's ending asks for. Errors: usage (another ending).
ReportWriter report_writer(const std::filesystem::path& file) {
  const std::string ending = ending_of(file);
  if (ending == ".html") return to_html;
  if (ending == ".md") return to_markdown;
  throw Error(ErrorCode::usage,
              fmt::format("--report {}: expected a name that ends in .html or .md", file.string()));
}

int compare_models(const CompareArguments& o) {
  if (o.no_speed && o.seconds_option->count() > 0)
    throw Error(ErrorCode::usage, "--seconds: nothing is timed with --no-speed; leave one out");
  const ReportWriter write_report = o.report.empty() ? nullptr : report_writer(o.report);
  // Opened before the long run, so that an output that can't be written is reported at once.
  std::optional<OutputFile> report;
  if (!o.report.empty()) report.emplace(o.report);
  if (!o.save_baseline.empty()) require_baseline_place(o.save_baseline);
  if (o.update_card) require_measurement_place(o.quantized);
  const Warning warn = o.run.warning();
  for (const auto& folder : {o.original, o.quantized}) tell_changed_files(folder, o.run.strictness(), warn);
  const CompareInput input = read_input(o, warn);
  CompareOptions options{.engine = parse_engine(o.run.engine),
                         .threads = o.run.threads,
                         .max_length = o.run.max_length,
                         .allow_unknown = o.run.allow_unknown,
                         .limits = o.limits,
                         .warning = warn,
                         .progress = progress()};
  options.limits.cosine = o.gate_cosine;
  options.run_mode = parse_activations(o.run.activations);
  for (const std::string& g : o.gates) options.gates.push_back(parse_gate(g));
  std::optional<QualityFile> quality;  // read before the long run, so that mistakes are reported at once
  if (!o.gates_file.empty()) quality = read_quality_file(o.gates_file);

  Comparison c = compare(o.original, o.quantized, input, options);
  c.command = o.command;
  if (!o.no_speed) {
    const std::vector<TextInput> texts = sample(input.texts);
    for (auto [folder, model] : {std::pair(&o.original, &c.original), std::pair(&o.quantized, &c.quantized)})
      model->measured = measure_apart({.folder = *folder,
                                       .engine = o.run.engine,
                                       .activations = folder == &o.quantized ? o.run.activations : "auto",
                                       .threads = o.run.threads,
                                       .max_length = o.run.max_length,
                                       .seconds = o.seconds},
                                      texts);
  }
  if (quality) {
    std::set<std::string> fixed;
    for (const GateSetting& g : options.gates) fixed.insert(g.tensor + "." + g.metric);
    QualityCheck check = check_quality(*quality, to_gate_values(c), c.gates, fixed, options.warning);
    c.gates = std::move(check.gates);
    c.unmeasured = std::move(check.unmeasured);
  }
  if (!o.save_baseline.empty()) save_baseline(o.save_baseline, to_gate_values(c));
  if (report) {
    report->write(write_report(c));
    report->finish();
  }
  if (o.update_card) insert_measurements(o.quantized, to_card(c));

  if (o.run.json) {
    std::cout << to_json(c);
  } else {
    print_tables(c);
    std::cout << '\n' << sentence(c.verdict()) << '\n';
    if (!o.report.empty()) std::cout << "Report: " << o.report.string() << '\n';
    if (o.update_card) std::cout << "Model card: " << (o.quantized / "README.md").string() << '\n';
  }
  return o.gate || quality ? report_gates(c.gates) : 0;
}

// `text` as one word of a shell command.
std::string quoted(const std::string& text) {
  const bool plain = !text.empty() && std::ranges::all_of(text, [](unsigned char c) {
    return std::isalnum(c) || c >= 0x80 ||
           std::string_view("-_./=,:+@%").find(static_cast<char>(c)) != std::string::npos;
  });
  if (plain) return text;
  std::string out = "'";
  for (char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

// The command as it was given, for the report.
std::string spelled_out(const CLI::App& command) {
  std::string out = "mlx-encoder " + command.get_name();
  for (const CLI::Option* option : command.get_options()) {
    if (option->count() == 0) continue;
    const bool is_flag = option->get_expected_max() == 0;
    if (is_flag) out += " " + option->get_name();
    if (!is_flag)
      for (const std::string& value : option->results())
        out += (option->get_positional() ? " " : " " + option->get_name() + " ") + quoted(value);
  }
  return out;
}

}  // namespace

void add_compare(CLI::App& app, Run& run) {
  auto o = std::make_shared<CompareArguments>();
  CLI::App* command = app.add_subcommand(
      "compare", "Compare a converted model with its original: differences, size, memory, speed, gates");
  command->add_option("original", o->original, "Original model: " + kModelForms)->required();
  command->add_option("quantized", o->quantized, "Converted model: " + kModelForms)->required();
  command
      ->add_option("-t,--texts", o->texts.input,
                   "File of texts (.txt, .tsv, .jsonl, .parquet, .conll), or - for standard input")
      ->required();
  command->add_option("--input-format", o->texts.format, "txt, tsv, jsonl or conll [by the file's ending]");
  command->add_flag("--allow-unknown", o->run.allow_unknown,
                    "Compare models whose layers have tensors that their architecture does not have");
  command->add_option("--limit", o->limit, "Use only the first N texts")->check(at_least(1));
  command->add_option("--labels", o->labels, "Column of gold labels [label, if the file has it]");
  command->add_option("--scores", o->scores,
                      "Column of gold similarities or values [score, if the file has it]");
  command->add_option("--engine", o->run.engine, "auto (mlx where it has a GPU, else cpu), mlx or cpu")
      ->capture_default_str();
  command
      ->add_option(
          "--activations", o->run.activations,
          "auto, int8, bf16 or f32: activations of an additional run of the quantized model (cpu engine)")
      ->capture_default_str();
  command->add_option("--threads", o->run.threads, "Threads of the cpu engine; 0: all cores")
      ->check(at_least(0));
  command
      ->add_option("--max-length", o->run.max_length,
                   "Most tokens of a text; longer texts are truncated, with a warning")
      ->check(at_least(1));
  command->add_flag("--gate", o->gate, "Exit status 3 if a gate fails");
  command
      ->add_option("--gate-cosine", o->gate_cosine,
                   "Limit of the mean cosine [by bits: 0.995 at 8, 0.98 at 4]; the limits of relative error "
                   "and neighbours kept follow from it")
      ->check(between(-1, 1));
  command->add_option("--gate-mse", o->limits.mse, "Limit of the mean squared error")
      ->capture_default_str()
      ->check(at_least(0));
  command->add_option("--gate-max-abs", o->limits.max_abs, "Limit of the largest difference")
      ->capture_default_str()
      ->check(at_least(0));
  command
      ->add_option("--gate-limit", o->gates,
                   "One gate: TENSOR.METRIC=LIMIT or =off (docs/gates.md); may be repeated")
      ->allow_extra_args(false);
  add_quality(*command, o->gates_file, &o->save_baseline);
  command->add_flag("--no-speed", o->no_speed, "Do not measure time and memory");
  o->seconds_option =
      command->add_option("--seconds", o->seconds, "Seconds for latency, and for throughput, of each model")
          ->check(above(0))
          ->check(between(0, kMostSeconds))
          ->capture_default_str();
  command->add_option("--report", o->report, "Write a report: FILE.html or FILE.md");
  command->add_flag("--update-card", o->update_card,
                    "Write the figures into the README.md that convert wrote into the converted folder");
  command->add_flag("--strict", o->run.strict, "Warnings are errors");
  command->add_flag("--json", o->run.json, "Machine-readable output, one object (docs/json.md)");
  command->callback([o, command, &run] {
    o->command = spelled_out(*command);
    run = [o] { return compare_models(*o); };
  });
}

}  // namespace mlxe::cli
