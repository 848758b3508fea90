// mlx-encoder sensitivity: the cost of fewer bits for each matrix.
#include "mlx_encoder/sensitivity.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <memory>
#include <optional>

#include "arguments.h"
#include "base/output_file.h"
#include "base/text.h"
#include "command.h"
#include "mlx_encoder/error.h"
#include "model_names.h"
#include "print_table.h"
#include "texts.h"

namespace mlxe::cli {
namespace {

struct SensitivityArguments {
  std::filesystem::path model, plot;
  std::string texts, dtype = "float16";
  std::vector<int> bits{2, 3, 4, 5, 6, 8};
  int group_size = 64, threads = 0;
  int64_t tokens = 3072;
  bool json = false, strict = false;
};

void print(const Sensitivity& s) {
  Table table{.id = "sensitivity",
              .title = fmt::format("{} of each matrix alone, most per byte saved at {} bits first", s.metric,
                                   s.order_bits),
              .header = {"matrix"},
              .align = {Align::left}};
  for (const WholeCost& w : s.wholes) {
    table.header.push_back(fmt::format("{} bits", w.bits));
    table.align.push_back(Align::right);
  }
  for (const size_t i : s.order) {
    std::vector<std::string>& row = table.rows.emplace_back();
    row.push_back(s.tensors[i].name);
    for (const WidthCost& w : s.tensors[i].widths) row.push_back(fmt::format("{:.2e}", w.cost));
  }
  const auto add = [&](const char* what, auto&& cell) {
    std::vector<std::string>& row = table.rows.emplace_back();
    row.emplace_back(what);
    for (const WholeCost& w : s.wholes) row.push_back(cell(w));
  };
  add("sum of these", [](const WholeCost& w) { return fmt::format("{:.2e}", w.sum); });
  add("all together, measured", [](const WholeCost& w) { return fmt::format("{:.2e}", w.cost); });
  if (s.labels)
    add("labels changed by all together",
        [](const WholeCost& w) { return fmt::format("{:.2f} %", 100 * w.flips); });
  table.note = fmt::format("{} texts, {} tokens; round-to-nearest, float32 activations", s.texts, s.tokens);
  for (const std::string& name : s.not_read) table.note += fmt::format("\nnot read by this output: {}", name);
  print_table(table);
}

int measure(const SensitivityArguments& o) {
  const Strictness strictness = o.strict ? Strictness::strict : Strictness::warn;
  const Warning warning = warnings(strictness);
  tell_changed_files(o.model, strictness, warning);
  SensitivityOptions options{.model = o.model,
                             .texts = {},
                             .bits = o.bits,
                             .group_size = o.group_size,
                             .dtype = parse_dtype(o.dtype),
                             .most_tokens = o.tokens,
                             .threads = o.threads,
                             .warning = warning,
                             .progress = progress()};
  if (!o.plot.empty() && ending_of(o.plot) != ".svg")
    throw Error(ErrorCode::usage,
                fmt::format("--plot {}: expected a name that ends in .svg", o.plot.string()));
  std::optional<OutputFile> plot;  // opened before the long run, so that errors are reported at once
  if (!o.plot.empty()) plot.emplace(o.plot);
  TextSource{.arguments = {}, .input = o.texts, .format = {}}.read(
      kWindow, warning,
      [&](std::vector<TextInput> texts) { std::ranges::move(texts, std::back_inserter(options.texts)); });
  const Sensitivity s = measure_sensitivity(options);
  if (plot) {
    plot->write(to_svg(s));
    plot->finish();
  }
  if (o.json)
    std::cout << to_json(s) << '\n';
  else
    print(s);
  return 0;
}

}  // namespace

void add_sensitivity(CLI::App& app, Run& run) {
  CLI::App* command = app.add_subcommand(
      "sensitivity", "Measure, for each matrix, the error at the model's output if it has fewer bits");
  auto o = std::make_shared<SensitivityArguments>();
  command->add_option("MODEL", o->model, "Original model: " + kModelForms)->required();
  command
      ->add_option("--texts", o->texts,
                   "Texts like those the model will see (.txt, .tsv, .jsonl, .parquet, .conll)")
      ->required();
  command->add_option("--bits", o->bits, "Bits to measure, separated by commas: any of 2, 3, 4, 5, 6 and 8")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->capture_default_str();
  command->add_option("--q-group-size", o->group_size, "Values that share a scale: 32, 64 or 128")
      ->capture_default_str();
  command->add_option("--dtype", o->dtype, "Dtype of scales and biases: float16, bfloat16 or float32")
      ->capture_default_str();
  command->add_option("--tokens", o->tokens, "Number of tokens to run; their texts are spread over the file")
      ->capture_default_str()
      ->check(at_least(1));
  command->add_option("--plot", o->plot, "Write a chart to this .svg file");
  command->add_option("--threads", o->threads, "Threads; 0: all cores")
      ->capture_default_str()
      ->check(at_least(0));
  command->add_flag("--strict", o->strict, "Every warning is an error");
  command->add_flag("--json", o->json, "Print one JSON object (docs/json/sensitivity.md)");
  command->callback([o, &run] { run = [o] { return measure(*o); }; });
}

}  // namespace mlxe::cli
