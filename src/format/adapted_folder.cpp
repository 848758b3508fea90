#include "format/adapted_folder.h"

#include <fmt/format.h>

#include <string>

#include "base/file_errors.h"
#include "format/adapter.h"
#include "format/linked_folders.h"
#include "format/model_folder.h"
#include "format/module_path.h"
#include "mlx_encoder/adapter.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace fs = std::filesystem;
namespace {

fs::path numbered(const fs::path& model, size_t number) {
  return model / fmt::format("{}{}", kAdapterFolder, number);
}

bool is_of_sentence_modules(const fs::path& file) {
  return file.has_parent_path() || file == "modules.json" || file == kLibraryConfig ||
         file == "sentence_bert_config.json";
}

// The folder whose modules of sentence-transformers count: the last adapter's that has some, as when
// sentence-transformers loads that folder, else the model's.
fs::path module_source(const fs::path& base, const std::vector<fs::path>& adapters) {
  if (!transformer_path(base).empty()) return base;
  for (auto adapter = adapters.rbegin(); adapter != adapters.rend(); ++adapter)
    if (fs::exists(*adapter / "modules.json") && transformer_path(*adapter).empty()) return *adapter;
  return base;
}

void link_model(const fs::path& folder, const fs::path& base, const std::vector<fs::path>& adapters) {
  const fs::path modules = module_source(base, adapters);
  const auto link = [&](const fs::path& from, const fs::path& file) {
    // An adapter beside the weights is merged only if it was given.
    if (file != kAdapterConfig && !fs::exists(folder / file)) add_link(folder / file, from / file);
  };
  for (const fs::path& file : ModelFiles(base).found())
    if (modules == base || !is_of_sentence_modules(file)) link(base, file);
  if (modules == base) return;
  for (const fs::path& file : ModelFiles(modules).found())
    if (is_of_sentence_modules(file)) link(modules, file);
}

}  // namespace

std::vector<fs::path> adapter_folders(const fs::path& model) {
  std::vector<fs::path> folders;
  while (fs::is_directory(numbered(model, folders.size() + 1)))
    folders.push_back(numbered(model, folders.size() + 1));
  return folders;
}

fs::path base_folder(const fs::path& model) {
  const fs::path shown = shown_folder(model);
  std::error_code failed;
  return fs::is_directory(shown, failed) ? shown : model;  // else a weight file
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
    return made.folder(key, base.filename().string(), model, [&](const fs::path& folder) {
      std::vector<fs::path> all = adapter_folders(base);
      for (const fs::path& adapter : adapters) all.push_back(plain_path(adapter));
      link_model(folder, base, all);
      for (size_t i = 0; i < all.size(); ++i)
        for (const fs::path& file : Adapter::files(all[i]))
          add_link(numbered(folder, i + 1) / file.filename(), file);
    });
  });
}

}  // namespace mlxe
