// mlx-encoder matrix: models times schemes, converted, compared and evaluated.
#include "mlx_encoder/matrix.h"

#include <fmt/format.h>

#include <iostream>
#include <memory>

#include "arguments.h"
#include "command.h"
#include "format/run_files.h"
#include "mlx_encoder/hub.h"
#include "print_table.h"
#include "sweep/sweep_report.h"

namespace mlxe::cli {
namespace {

struct MatrixArguments {
  std::filesystem::path file = "matrix.toml", output;
  std::string engine = "auto";
  int threads = 0;
  bool dry_run = false, remove_models = false, stop = false, strict = false, json = false;
};

// The tables are written beside one another; the conversions have folders of their own.
void check_files(const Sweep& sweep) {
  std::vector<RunFile> inputs{{"the list", sweep.file}}, outputs;
  for (const SweepModel& m : sweep.models)
    for (const auto& [name, path] :
         {std::pair("texts", m.texts), {"data", m.data}, {"calibration", m.calibration}})
      if (!path.empty()) inputs.push_back({name, path});
  for (const SweepScheme& s : sweep.schemes)
    for (const auto& [name, path] :
         {std::pair("recipe", s.recipe), {"calibrate", std::filesystem::path(s.calibrate)}})
      if (!path.empty()) inputs.push_back({name, path});
  for (const char* table : {"matrix.json", "matrix.md", "matrix.svg"})
    outputs.push_back({"the table", sweep.output / table});
  require_separate_files(inputs, outputs);
}

int run_or_plan(const MatrixArguments& o) {
  Sweep sweep = read_sweep(o.file, warnings(o.strict ? Strictness::strict : Strictness::warn));
  for (SweepModel& m : sweep.models)
    m.path = model_folder(m.path, {.warning = warnings(o.strict ? Strictness::strict : Strictness::warn),
                                   .progress = progress()});
  if (!o.output.empty()) sweep.output = o.output;
  if (!o.dry_run) check_files(sweep);
  if (o.remove_models) sweep.folders = ConvertedFolders::remove;
  const SweepOptions options{.engine = parse_engine(o.engine),
                             .threads = o.threads,
                             .strict = o.strict,
                             .on_error = o.stop ? OnCellError::stop : OnCellError::go_on,
                             .command = "mlx-encoder matrix " + o.file.string(),
                             .warning = warnings(Strictness::warn),
                             .progress = progress()};
  const SweepResult result = o.dry_run ? plan_sweep(sweep, options) : run_sweep(sweep, options);
  if (o.json) {
    std::cout << to_json(result);
  } else {
    print_table(sweep_table(result));
    std::cout << '\n';
    if (!o.dry_run) {
      for (const std::string& line : recommendations(result)) std::cout << "Recommended: " << line << '\n';
      std::cout << "Written: " << (sweep.output / "matrix.md").string() << '\n';
    }
  }
  for (const std::string& line : problems(result)) std::cerr << "mlx-encoder: " << line << '\n';
  return result.status();
}

}  // namespace

void add_matrix(CLI::App& app, Run& run) {
  CLI::App* command = app.add_subcommand(
      "matrix", "Convert, compare and evaluate all models and schemes that a file lists; write one table");
  auto o = std::make_shared<MatrixArguments>();
  command->add_option("file", o->file, "File that lists models and schemes (docs/matrix.md)")
      ->capture_default_str();
  command->add_option("-o,--out", o->output, "Folder of the results [the one that the file names]");
  command->add_flag("--dry-run", o->dry_run, "Print the planned combinations and sizes; write nothing");
  command->add_flag("--remove-models", o->remove_models,
                    "Remove each converted folder after it is measured; keep its record");
  command->add_flag("--stop", o->stop, "Stop at the first combination that can't be made");
  command->add_option("--engine", o->engine, "auto (mlx where it has a GPU, else cpu), mlx or cpu")
      ->capture_default_str();
  command->add_option("--threads", o->threads, "Threads; 0: all cores")->check(at_least(0));
  command->add_flag("--strict", o->strict, "A warning makes its combination fail");
  command->add_flag("--json", o->json, "Machine-readable output, one object (docs/json/matrix.md)");
  command->footer(
      "Combinations that were done before, from the same files with the same options, are skipped.\n"
      "Exit status: that of the first combination that failed; else 3 if a gate failed; else 0.");
  command->callback([o, &run] { run = [o] { return run_or_plan(*o); }; });
}

}  // namespace mlxe::cli
