#include "format/linked_folders.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/leftovers.h"
#include "base/remove_tree.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace fs = std::filesystem;

LinkedFolders::~LinkedFolders() {
  for (const auto& [key, folder] : made_) remove_tree(folder.parent_path().c_str());
}

fs::path LinkedFolders::folder(const std::string& key, const std::string& name,
                               const std::function<void(const fs::path&)>& make) {
  const std::lock_guard lock(mutex_);
  if (const auto found = made_.find(key); found != made_.end()) return found->second;
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
  return made_[key] = folder;
}

void add_link(const fs::path& at, const fs::path& target) {
  fs::create_directories(at.parent_path());
  fs::create_symlink(target, at);
}

}  // namespace mlxe
