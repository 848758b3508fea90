#include "format/weight_file_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "base/file_errors.h"
#include "base/wording.h"
#include "format/linked_folders.h"
#include "format/model_folder.h"
#include "format/module_path.h"
#include "format/weight_files.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace fs = std::filesystem;
namespace {

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

}  // namespace

std::optional<fs::path> weight_file_folder(const fs::path& file) {
  return with_file_errors([&]() -> std::optional<fs::path> {
    const WeightFormat* format = fs::is_regular_file(file) ? format_of(file) : nullptr;
    if (format == nullptr) return std::nullopt;
    static LinkedFolders made;
    const fs::path weights = fs::absolute(file).lexically_normal();
    const fs::path model = model_folder_around(weights);
    const fs::path transformer = transformer_path(model);
    return made.folder(weights.string(), model.filename().string(), [&](const fs::path& folder) {
      for (const fs::path& other : ModelFiles(model).found())
        if (!is_weight_file_name(other.filename().string()) || other.parent_path() != transformer)
          add_link(folder / other, model / other);
      add_link(folder / transformer / format->single, weights);
      // External data of an export: "model_quantized.onnx_data". The export knows it by this name.
      for (const fs::directory_entry& other : fs::directory_iterator(weights.parent_path()))
        if (const std::string name = other.path().filename().string(), own = weights.filename().string();
            name.starts_with(own + "_data") || name.starts_with(own + ".data"))
          add_link(folder / transformer / name, other.path());
    });
  });
}

}  // namespace mlxe
