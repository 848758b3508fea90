#include "format/weight_file_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "base/file_errors.h"
#include "base/leftovers.h"
#include "base/remove_tree.h"
#include "base/wording.h"
#include "format/json_file.h"
#include "format/model_folder.h"
#include "format/module_path.h"
#include "format/weight_files.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace fs = std::filesystem;
namespace {

constexpr size_t kMostListed = 5;  // files in a message

// The temporary folders of this process, by their weight file.
class MadeFor {
 public:
  ~MadeFor() {
    for (const auto& [file, made] : made_) remove_tree(made.root.c_str());
  }

  // `make` fills an empty folder of the given name.
  fs::path folder(const fs::path& file, const std::string& name, auto&& make) {
    const std::lock_guard lock(mutex_);
    if (const auto found = made_.find(file); found != made_.end())
      return found->second.root / found->second.name;
    std::string root = (fs::temp_directory_path() / "mlx-encoder-XXXXXX").string();
    {
      const auto held = leftovers::hold();
      if (::mkdtemp(root.data()) == nullptr)
        throw Error(ErrorCode::io,
                    fmt::format("a temporary folder in {} can't be made: {}; TMPDIR names another folder",
                                fs::temp_directory_path().string(), std::strerror(errno)));
      leftovers::add(root);
    }
    const fs::path folder = fs::path(root) / name;
    try {
      fs::create_directory(folder);
      make(folder);
    } catch (...) {
      remove_tree(root.c_str());
      throw;
    }
    made_[file] = {root, name};
    return folder;
  }

 private:
  struct Made {
    fs::path root;
    std::string name;
  };
  std::mutex mutex_;
  std::map<fs::path, Made> made_;
};

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

void add_link(const fs::path& at, const fs::path& target) {
  fs::create_directories(at.parent_path());
  fs::create_symlink(target, at);
}

}  // namespace

std::optional<fs::path> weight_file_folder(const fs::path& path, const Warning& warn) {
  return with_file_errors([&]() -> std::optional<fs::path> {
    const fs::path file = fs::is_directory(path) ? self_described_file(path).value_or("") : path;
    const WeightFormat* format = fs::is_regular_file(file) ? format_of(file) : nullptr;
    if (format == nullptr) return std::nullopt;
    static MadeFor made;
    const fs::path weights = fs::absolute(file).lexically_normal();
    if (format->description && !is_model_folder(weights.parent_path()))
      return made.folder(weights, weights.stem().string(), [&](const fs::path& folder) {
        format->description->write(weights, folder, warn);
        add_link(folder / format->single, weights);
      });
    const fs::path model = model_folder_around(weights);
    if (const fs::path config = model / "config.json"; format->description && fs::exists(config))
      format->description->require_agreement(weights, config);
    const fs::path transformer = transformer_path(model);
    return made.folder(weights, model.filename().string(), [&](const fs::path& folder) {
      for (const fs::path& other : ModelFiles(model).found())
        if (!is_weight_file_name(other.filename().string()) || other.parent_path() != transformer)
          add_link(folder / other, model / other);
      add_link(folder / transformer / format->single, weights);
    });
  });
}

}  // namespace mlxe
