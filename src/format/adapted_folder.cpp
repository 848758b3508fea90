#include "format/adapted_folder.h"

#include <fmt/format.h>

#include <string>

#include "base/file_errors.h"
#include "format/adapter.h"
#include "format/linked_folders.h"
#include "format/model_folder.h"
#include "mlx_encoder/adapter.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace fs = std::filesystem;
namespace {

fs::path numbered(const fs::path& model, size_t number) {
  return model / fmt::format("{}{}", kAdapterFolder, number);
}

// A path without "..", "." and a slash at the end.
fs::path plain_path(const fs::path& path) {
  const fs::path plain = fs::absolute(path).lexically_normal();
  return plain.has_filename() ? plain : plain.parent_path();
}

}  // namespace

std::vector<fs::path> adapter_folders(const fs::path& model) {
  std::vector<fs::path> folders;
  while (fs::is_directory(numbered(model, folders.size() + 1)))
    folders.push_back(numbered(model, folders.size() + 1));
  return folders;
}

fs::path base_folder(const fs::path& model) {
  if (adapter_folders(model).empty()) return model;
  for (const fs::directory_entry& entry : fs::directory_iterator(model))
    if (entry.is_symlink()) return fs::read_symlink(entry.path()).parent_path();
  return model;
}

fs::path adapted_model(const fs::path& model, std::span<const fs::path> adapters) {
  return with_file_errors([&]() -> fs::path {
    if (adapters.empty()) return model;
    const fs::path base = plain_path(model);
    if (!fs::is_directory(base))
      throw Error(ErrorCode::not_found,
                  fmt::format("{}: no such folder; give a model folder", model.string()));
    if (is_adapter_alone(base)) refuse_adapter_alone(base);
    std::string key = base.string();
    for (const fs::path& adapter : adapters) {
      if (!fs::exists(adapter / kAdapterConfig))
        throw Error(ErrorCode::not_found, fmt::format("{}: no {}; give the folder of an adapter",
                                                      adapter.string(), kAdapterConfig));
      Adapter::read(adapter);
      key += '\n' + plain_path(adapter).string();
    }
    static LinkedFolders made;
    return made.folder(key, base.filename().string(), [&](const fs::path& folder) {
      const std::vector<fs::path> before = adapter_folders(base);
      for (const fs::path& file : ModelFiles(base).found())
        // An adapter beside the weights is merged only if it was given.
        if (file != kAdapterConfig && !fs::exists(folder / file)) add_link(folder / file, base / file);
      size_t number = 0;
      const auto add_adapter = [&](const fs::path& adapter) {
        ++number;
        for (const fs::path& file : Adapter::files(plain_path(adapter)))
          add_link(numbered(folder, number) / file.filename(), file);
      };
      for (const fs::path& adapter : before) add_adapter(adapter);
      for (const fs::path& adapter : adapters) add_adapter(adapter);
    });
  });
}

}  // namespace mlxe
