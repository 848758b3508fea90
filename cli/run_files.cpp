#include "run_files.h"

#include <algorithm>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/output_file.h"
#include "format/run_files.h"

namespace mlxe::cli {
namespace {

// By their first long name; a positional by its name.
constexpr std::string_view kInputs[] = {"model",       "models",   "MODEL",     "FOLDER",   "original",
                                        "quantized",   "file",     "--model",   "--input",  "--texts",
                                        "--calibrate", "--data",   "--qrels",   "--gates",  "--recipe",
                                        "--original",  "--ranges", "--against", "--adapter"};
constexpr std::string_view kOutputs[] = {"--output",        "--report",        "--plot",
                                         "--save-baseline", "--save-golden",   "--mlx-path",
                                         "--save-ranges",   "--sparse-output", "--token-output"};
constexpr std::string_view kFolders[] = {"--mlx-path"};
constexpr std::string_view kNoFiles[] = {"default", "none"};  // values of --calibrate

bool is_one_of(std::string_view name, auto&& list) {
  return std::ranges::find(list, name) != std::end(list);
}

}  // namespace

void require_writable_outputs(const CLI::App& command) {
  const CLI::Option* input = command.get_option_no_throw("--input");
  std::error_code error;
  // Of a folder of texts, the output is a folder, too.
  const bool reads_folder = input != nullptr && input->count() == 1 &&
                            std::filesystem::is_directory(input->results().front(), error);
  for (const CLI::Option* option : command.get_options())
    if (is_one_of(option->get_name(), kOutputs) && !is_one_of(option->get_name(), kFolders) &&
        !(reads_folder && option->get_name() == "--output"))
      for (const std::string& file : option->results()) require_writable(file);
}

void require_separate_files(const CLI::App& app) {
  std::vector<RunFile> inputs, outputs;
  for (const CLI::App* command : app.get_subcommands()) {
    const CLI::Option* dry_run = command->get_option_no_throw("--dry-run");
    const bool writes = dry_run == nullptr || dry_run->count() == 0;
    for (const CLI::Option* option : command->get_options()) {
      const std::string name = option->get_name();
      const RunFileKind kind = is_one_of(name, kFolders) ? RunFileKind::replaced : RunFileKind::any;
      std::vector<std::string> values = option->results();
      if (values.empty() && kind == RunFileKind::replaced) values = {option->get_default_str()};
      for (const std::string& value : values) {
        if (writes && is_one_of(name, kOutputs)) outputs.push_back({name, value, kind});
        if (name == "--update-card")
          outputs.push_back({name, command->get_option("quantized")->as<std::string>() + "/README.md",
                             RunFileKind::updated});
        if (!is_one_of(name, kInputs) || (name == "--calibrate" && is_one_of(value, kNoFiles))) continue;
        inputs.push_back({name, value == "-" ? "/dev/stdin" : value});
      }
    }
  }
  mlxe::require_separate_files(inputs, outputs);
  // Alone, because an output may be named /dev/stdout.
  const RunFile printed{"standard output", "/dev/stdout"};
  mlxe::require_separate_files(inputs, {&printed, 1});
}

}  // namespace mlxe::cli
