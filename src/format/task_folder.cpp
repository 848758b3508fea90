// The temporary folder of a model for one of its tasks, or of one of its routes.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/file_errors.h"
#include "base/output_file.h"
#include "format/config.h"
#include "format/encoder_routes.h"
#include "format/json_file.h"
#include "format/linked_folders.h"
#include "format/model_folder.h"
#include "format/module_path.h"
#include "format/task_adapters.h"
#include "mlx_encoder/adapter.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace fs = std::filesystem;
namespace {

using nlohmann::json;

[[noreturn]] void no_such_task(const fs::path& model, std::string_view task, const Config& config) {
  const std::vector<std::string> tasks = task_names(config);
  std::string found = "it has no changes for tasks, expected a model such as jina-embeddings-v3";
  if (!tasks.empty()) found = "it has " + listed_tasks(tasks);
  if (config.has(kDefaultTask) && tasks.empty())
    found = fmt::format("it was converted for the task {}; convert the original for another one",
                        printable(config.get<std::string>(kDefaultTask)));
  throw Error(ErrorCode::usage, fmt::format("{}: no task {}; {}", model.string(), printable(task), found));
}

// The settings for texts with the task's prompt as the default: that of the settings, else of config.json, where the
// model's own code has it. Errors: format.
json text_settings(const fs::path& file, const Config& config, const std::string& task) {
  constexpr const char *kPrompts = "prompts", *kDefault = "default_prompt_name",
                       *kInstructions = "task_instructions";
  json settings = fs::exists(file) ? read_json(file) : json::object();
  if (!settings.is_object()) return settings;  // said when the model is read
  json prompts = settings.contains(kPrompts) ? settings[kPrompts] : json();
  if (prompts.is_null()) prompts = json::object();
  if (!prompts.is_object()) return settings;  // said when the model is read
  if (!prompts.contains(task) && config.has(kInstructions))
    if (const Config instructions = config.object(kInstructions); instructions.has(task))
      prompts[task] = instructions.get<std::string>(task);
  settings.erase(kDefault);
  if (!prompts.contains(task)) return settings;
  settings[kPrompts] = std::move(prompts);
  settings[kDefault] = task;
  return settings;
}

}  // namespace

fs::path task_model(const fs::path& model, std::string_view task) {
  return with_file_errors([&]() -> fs::path {
    if (!fs::is_directory(model))
      throw Error(ErrorCode::not_found,
                  fmt::format("{}: no such folder; give a model folder", model.string()));
    if (const auto routes = encoder_routes(model)) return routes->model(routes->route(task));
    const fs::path base = plain_path(model), config_file = transformer_path(base) / "config.json";
    const Config config = Config::read(model / config_file);
    const std::vector<std::string> tasks = task_names(config);
    const std::string name(task);
    const bool is_stated = config.get_or<std::string>(kDefaultTask, "") == task;
    if (!is_stated && std::ranges::find(tasks, name) == tasks.end()) no_such_task(model, task, config);
    const fs::path settings_file = base / kLibraryConfig;
    const json before = fs::exists(settings_file) ? read_json(settings_file) : json::object(),
               settings = text_settings(settings_file, config, name);
    if (is_stated && settings == before) return model;
    static LinkedFolders made;
    const std::string key = fmt::format("{}\n{}", base.string(), task);
    return made.folder(key, base.filename().string(), model, [&](const fs::path& folder) {
      const auto write = [&](const fs::path& file, const json& value) {
        fs::create_directories((folder / file).parent_path());
        write_whole_file(folder / file, value.dump(2) + "\n", Placement::fresh);
      };
      if (!is_stated) {
        json changed = config.json();
        changed[kDefaultTask] = name;
        write(config_file, changed);
      }
      if (settings != before) write(kLibraryConfig, settings);
      for (const fs::path& file : ModelFiles(base).found())
        if (!fs::exists(folder / file)) add_link(folder / file, base / file);
    });
  });
}

}  // namespace mlxe
