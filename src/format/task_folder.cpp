// The temporary folder of a model for one of its tasks.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/file_errors.h"
#include "base/output_file.h"
#include "base/wording.h"
#include "format/config.h"
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
  std::string found = "has no changes for tasks, expected a model such as jina-embeddings-v3";
  if (!tasks.empty()) found = fmt::format("has the tasks {}", listed(tasks, kMostTasksListed));
  if (config.has(kDefaultTask) && tasks.empty())
    found = fmt::format("was converted for the task {}; convert the original for another one",
                        printable(config.get<std::string>(kDefaultTask)));
  throw Error(ErrorCode::usage,
              fmt::format("--task: is {}, but {} {}", printable(task), model.string(), found));
}

// The file of settings for texts with the task's prompt as the default; null: it stays as it is.
json text_settings(const fs::path& file, const Config& config, const std::string& task) {
  json settings = fs::exists(file) ? read_json(file) : json::object();
  if (!settings.is_object()) return nullptr;  // said when the model is read
  constexpr const char* kPrompts = "prompts";
  const auto instructions = config.json().find("task_instructions");
  if (!settings.contains(kPrompts) && instructions != config.json().end() && instructions->is_object())
    settings[kPrompts] = *instructions;
  if (const auto prompts = settings.find(kPrompts);
      prompts == settings.end() || !prompts->is_object() || !prompts->contains(task))
    return nullptr;
  settings["default_prompt_name"] = task;
  return settings;
}

}  // namespace

fs::path task_model(const fs::path& model, std::string_view task) {
  return with_file_errors([&]() -> fs::path {
    if (!fs::is_directory(model))
      throw Error(ErrorCode::not_found,
                  fmt::format("{}: no such folder; give a model folder", model.string()));
    const fs::path base = plain_path(model), config_file = transformer_path(base) / "config.json";
    const Config config = Config::read(base / config_file);
    if (config.get_or<std::string>(kDefaultTask, "") == task) return model;
    const std::vector<std::string> tasks = task_names(config);
    const auto found = std::ranges::find(tasks, task);
    if (found == tasks.end()) no_such_task(model, task, config);
    static LinkedFolders made;
    const std::string key = fmt::format("{}\n{}", base.string(), task);
    return made.folder(key, base.filename().string(), model, [&](const fs::path& folder) {
      const auto write = [&](const fs::path& file, const json& value) {
        fs::create_directories((folder / file).parent_path());
        write_whole_file(folder / file, value.dump(2) + "\n", Placement::fresh);
      };
      json changed = config.json();
      changed[kDefaultTask] = *found;
      write(config_file, changed);
      if (const json settings = text_settings(base / kLibraryConfig, config, *found); !settings.is_null())
        write(kLibraryConfig, settings);
      for (const fs::path& file : ModelFiles(base).found())
        if (!fs::exists(folder / file)) add_link(folder / file, base / file);
    });
  });
}

}  // namespace mlxe
