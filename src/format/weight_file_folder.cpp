#include "format/weight_file_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/file_errors.h"
#include "base/wording.h"
#include "format/json_file.h"
#include "format/linked_folders.h"
#include "format/model_folder.h"
#include "format/module_path.h"
#include "format/weight_files.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace fs = std::filesystem;
namespace {

constexpr size_t kMostListed = 5;  // files in a message

const WeightFormat* format_of(const fs::path& file) {
  const std::string name = file.filename().string();
  const auto has_ending = [&](const WeightFormat& format) {
    return std::ranges::any_of(format.endings,
                               [&](std::string_view ending) { return name.ends_with(ending); });
  };
  const auto found = std::ranges::find_if(weight_formats(), has_ending);
  return found == weight_formats().end() ? nullptr : &*found;
}

bool is_model_folder(const fs::path& folder) {
  return fs::exists(folder / "config.json") || fs::exists(folder / "modules.json");
}

fs::path model_folder_around(const fs::path& file) {
  const fs::path inner = file.parent_path();
  for (const fs::path& folder : {inner, inner.parent_path()})
    if (is_model_folder(folder)) return folder;
  throw Error(
      ErrorCode::not_found,
      fmt::format("{}: no config.json beside it or in the folder above, which says what model it is; give a "
                  "weight file of a model folder",
                  file.string()));
}

// The file that a folder means: of its files that say themselves which model they hold, the only one.
std::optional<fs::path> self_described_file(const fs::path& folder) {
  std::vector<std::string> names, described;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    names.push_back(entry.path().filename().string());
    const WeightFormat* format = entry.is_regular_file() ? format_of(entry.path()) : nullptr;
    if (format && format->description) described.push_back(names.back());
  }
  const bool has_config = fs::exists(folder / "config.json");
  if (described.empty() ||
      (has_config ? find_weight_format(names) != nullptr : fs::exists(folder / "modules.json")))
    return std::nullopt;
  std::ranges::sort(described);
  if (described.size() > 1) {
    for (std::string& name : described) name = printable(name);
    throw Error(ErrorCode::usage,
                fmt::format("{}: holds {} models, {}; name one of these files instead of the folder",
                            folder.string(), described.size(), listed(described, kMostListed)));
  }
  return folder / described.front();
}

}  // namespace

std::optional<fs::path> weight_file_folder(const fs::path& path, const Warning& warn) {
  return with_file_errors([&]() -> std::optional<fs::path> {
    const fs::path file = fs::is_directory(path) ? self_described_file(path).value_or("") : path;
    const WeightFormat* format = fs::is_regular_file(file) ? format_of(file) : nullptr;
    if (format == nullptr) return std::nullopt;
    static LinkedFolders made;
    const fs::path weights = fs::absolute(file).lexically_normal();
    if (format->description && !is_model_folder(weights.parent_path()))
      return made.folder(weights.string(), weights.stem().string(), path, [&](const fs::path& folder) {
        format->description->write(weights, folder, warn);
        add_link(folder / format->single, weights);
      });
    const fs::path model = model_folder_around(weights);
    // Here, too, because a message then has the path of the file itself.
    if (const fs::path config = model / "config.json"; format->description && fs::exists(config))
      format->description->require_agreement(weights, config);
    const fs::path transformer = transformer_path(model);
    return made.folder(weights.string(), model.filename().string(), model, [&](const fs::path& folder) {
      for (const fs::path& other : ModelFiles(model).found())
        if (!is_weight_file_name(other.filename().string()) || other.parent_path() != transformer)
          add_link(folder / other, model / other);
      add_link(folder / transformer / format->single, weights);
      const fs::path single = model / transformer / format->single,
                     index = single.parent_path() / format->index();
      if (weights == single && fs::exists(index)) add_link(folder / transformer / format->index(), index);
      // External data of an export: "model_quantized.onnx_data". The export knows it by this name.
      for (const fs::directory_entry& other : fs::directory_iterator(weights.parent_path()))
        if (const std::string name = other.path().filename().string(), own = weights.filename().string();
            name.starts_with(own + "_data") || name.starts_with(own + ".data"))
          add_link(folder / transformer / name, other.path());
    });
  });
}

}  // namespace mlxe
