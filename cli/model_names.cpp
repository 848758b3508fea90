#include "model_names.h"

#include <algorithm>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "command.h"
#include "mlx_encoder/error.h"
#include "mlx_encoder/hub.h"
#include "run_files.h"

namespace mlxe::cli {
namespace {

// By their first long name; a positional by its name.
constexpr std::string_view kModels[] = {"model",    "models",    "MODEL",   "FOLDER",
                                        "original", "quantized", "--model", "--original"};

bool is_given(const CLI::App& command, const char* option) {
  const CLI::Option* found = command.get_option_no_throw(option);
  return found != nullptr && found->count() > 0;
}

// A name on the hub, or a weight file of a model.
bool stands_for_a_folder(const std::string& value) {
  std::error_code failed;
  return is_hub_name(value) || std::filesystem::is_regular_file(value, failed);
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

}  // namespace

void fetch_models(const CLI::App& app) {
  for (CLI::App* command : app.get_subcommands()) {
    HubOptions options;
    for (CLI::Option* option : command->get_options()) {
      if (std::ranges::find(kModels, option->get_name()) == std::end(kModels)) continue;
      std::vector<std::string> values = option->results();
      if (std::ranges::none_of(values, stands_for_a_folder)) continue;  // most runs
      if (!options.progress) {
        require_writable_outputs(*command);
        options.warning = warnings(is_given(*command, "--strict") ? Strictness::strict : Strictness::warn);
        options.progress = progress();
      }
      if (!replace_names(values, options)) continue;
      if (option->get_name() == "quantized" && is_given(*command, "--update-card"))
        throw Error(
            ErrorCode::usage,
            "--update-card: the model is one of the hub or a weight file, whose folder stays as it is; "
            "give the folder that convert wrote");
      option->clear();
      for (const std::string& value : values) option->add_result(value);
      option->run_callback();  // sets the command's variable
    }
  }
}

}  // namespace mlxe::cli
