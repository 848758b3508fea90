#include "model_names.h"

#include <algorithm>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "command.h"
#include "format/encoder_routes.h"
#include "mlx_encoder/adapter.h"
#include "mlx_encoder/error.h"
#include "mlx_encoder/hub.h"
#include "run_files.h"

namespace mlxe::cli {
namespace {

// By their first long name; a positional by its name.
constexpr std::string_view kModels[] = {"model",     "models",  "MODEL",      "FOLDER",   "original",
                                        "quantized", "--model", "--original", "--adapter"};
// What an adapter is merged into: the first of these that is given. Of two models it is the original.
constexpr std::string_view kAdapted[] = {"--original", "original", "model", "models",
                                         "MODEL",      "--model",  "FOLDER"};
constexpr std::string_view kNotAdapted[] = {"doctor", "inspect", "matrix"};  // commands

// The option of a command that chooses one of a model's own adapters. `evaluate` has a --task of another kind.
const char* task_option(const CLI::App& command) {
  return command.get_name() == "evaluate" ? "--model-task" : "--task";
}

bool is_given(const CLI::App& command, const char* option) {
  const CLI::Option* found = command.get_option_no_throw(option);
  return found != nullptr && found->count() > 0;
}

void set_values(CLI::Option& option, const std::vector<std::string>& values) {
  option.clear();
  for (const std::string& value : values) option.add_result(value);
  option.run_callback();  // sets the command's variable
}

// True if a value was replaced.
bool replace_names(std::vector<std::string>& values, const HubOptions& options) {
  bool replaced = false;
  for (std::string& value : values) {
    const std::string folder = model_folder(value, options).string();
    replaced = replaced || folder != value;
    value = folder;
  }
  return replaced;
}

std::vector<std::string> values_of(const CLI::App& command, const char* option) {
  return is_given(command, option) ? command.get_option(option)->results() : std::vector<std::string>();
}

// Of a Router's conversion the same route is compared.
void choose_route(CLI::App& command, const std::string& task) {
  CLI::Option* option = command.get_option_no_throw("quantized");
  if (option == nullptr || option->count() == 0) return;
  const std::filesystem::path folder = option->results().front();
  if (encoder_routes(folder)) set_values(*option, {task_model(folder, task).string()});
}

// Puts a folder with the task's changes and the adapters merged in place of the model's.
void merge_adapters(CLI::App& command) {
  if (command.get_option_no_throw("--adapter") == nullptr) return;
  const std::vector<std::string> adapters = values_of(command, "--adapter"),
                                 task = values_of(command, task_option(command));
  if (adapters.empty() && task.empty()) return;
  const std::vector<std::filesystem::path> folders(adapters.begin(), adapters.end());
  for (const std::string_view name : kAdapted) {
    CLI::Option* option = command.get_option_no_throw(std::string(name));
    if (option == nullptr || option->count() == 0) continue;
    const std::vector<std::string> models = option->results();
    if (models.size() != 1)
      throw Error(ErrorCode::usage, std::string(task.empty() ? "--adapter" : task_option(command)) +
                                        ": belongs to one model, found several; give one model");
    std::filesystem::path model = model_folder(models.front());
    if (!task.empty()) model = task_model(model, task.front());
    set_values(*option, {adapted_model(model, folders).string()});
    if (!task.empty()) choose_route(command, task.front());
    return;
  }
}

// Whose weights --adapter changes, for the help text.
std::string adapted_in_words(const CLI::App& command) {
  if (command.get_option_no_throw("original") != nullptr) return "the original model's weights";
  if (command.get_option_no_throw("--original") != nullptr)
    return "the model's weights (the original's with --original)";
  return "the model's weights";
}

}  // namespace

void fetch_models(const CLI::App& app) {
  for (CLI::App* command : app.get_subcommands()) {
    HubOptions options{.warning =
                           warnings(is_given(*command, "--strict") ? Strictness::strict : Strictness::warn)};
    for (CLI::Option* option : command->get_options()) {
      if (std::ranges::find(kModels, option->get_name()) == std::end(kModels)) continue;
      std::vector<std::string> values = option->results();
      if (!options.progress && std::ranges::any_of(values, is_hub_name)) {
        require_writable_outputs(*command);
        options.progress = progress();
      }
      if (!replace_names(values, options)) continue;
      if (option->get_name() == "quantized" && is_given(*command, "--update-card"))
        throw Error(
            ErrorCode::usage,
            "--update-card: the model is one of the hub or a weight file, whose folder stays as it is; "
            "give the folder that convert wrote");
      set_values(*option, values);
    }
    merge_adapters(*command);
  }
}

void add_adapter_options(CLI::App& app) {
  for (CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    const bool reads_a_model = std::ranges::any_of(kAdapted, [&](std::string_view name) {
      return command->get_option_no_throw(std::string(name)) != nullptr;
    });
    if (!reads_a_model || std::ranges::find(kNotAdapted, command->get_name()) != std::end(kNotAdapted))
      continue;
    const std::string weights = adapted_in_words(*command);
    const std::string adapter =
        "LoRA adapter to merge into " + weights + " first: a folder or a name on the hub; may be repeated";
    command->add_option("--adapter", adapter)
        ->type_name("TEXT")
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    const std::string task =
        "Of a model with changes for several tasks (jina-embeddings-v3): the task to merge into " + weights +
        " first, such as retrieval.query; of a Router with an encoder in each route: the route to take, such "
        "as query";
    command->add_option(task_option(*command), task)->type_name("TEXT")->expected(1);
  }
}

}  // namespace mlxe::cli
