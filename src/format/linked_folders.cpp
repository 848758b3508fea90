#include "format/linked_folders.h"

#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <system_error>

#include "base/file_errors.h"
#include "base/leftovers.h"
#include "base/remove_tree.h"
#include "base/spool_file.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace fs = std::filesystem;

namespace {

// Of all folders of the process: the path each is shown as. Never destroyed: messages come until the end.
struct ShownPaths {
  std::mutex mutex;
  std::map<std::string, std::string> by_folder;
  std::atomic<bool> any = false;
};

ShownPaths& shown_paths() {
  static auto& paths = *new ShownPaths;
  return paths;
}

void show_as(const fs::path& folder, const fs::path& shown_by_caller) {
  const fs::path shown = shown_folder(shown_by_caller);
  ShownPaths& paths = shown_paths();
  const std::lock_guard lock(paths.mutex);
  paths.by_folder[folder.string()] = shown.string();
  paths.any = true;
}

bool is_shown_otherwise(const fs::path& folder) {
  ShownPaths& paths = shown_paths();
  const std::lock_guard lock(paths.mutex);
  return paths.by_folder.contains(folder.string());
}

// A new folder under a random name, which goes with the process.
std::string make_root() {
  const fs::path all = temporary_folder();
  std::string root = (all / "mlx-encoder-XXXXXX").string();
  const auto held = leftovers::hold();
  if (::mkdtemp(root.data()) == nullptr)
    throw Error(ErrorCode::io,
                fmt::format("a temporary folder in {} can't be made: {}; TMPDIR names another folder",
                            all.string(), std::strerror(errno)));
  leftovers::add(root);
  return root;
}

// Replaces the path that begins at `at` with `folder`. Returns where the text goes on.
size_t replace_path(std::string& text, size_t at, const std::string& folder, const std::string& shown) {
  constexpr std::string_view kEnds = " \t\n\"',;:()<>";
  const size_t end = std::min(text.find_first_of(kEnds, at + folder.size()), text.size());
  std::error_code no_link;
  const fs::path target = fs::read_symlink(text.substr(at, end - at), no_link);
  const size_t replaced = no_link ? folder.size() : end - at;
  const std::string by = no_link ? shown : target.string();
  text.replace(at, replaced, by);
  return at + by.size();
}

}  // namespace

LinkedFolders::~LinkedFolders() {
  if (::getpid() != owner_) return;  // a forked child that ends
  for (const auto& [key, folder] : made_) remove_tree(folder.parent_path().c_str());
}

fs::path LinkedFolders::folder(const std::string& key, const std::string& name, const fs::path& shown,
                               const std::function<void(const fs::path&)>& make) {
  const std::lock_guard lock(mutex_);
  // A forked child makes its own: the folders of its parent go with the parent.
  if (owner_ != ::getpid()) made_.clear();
  owner_ = ::getpid();
  if (const auto found = made_.find(key); found != made_.end()) return found->second;
  const std::string root = make_root();
  const fs::path folder = fs::path(root) / name;
  show_as(folder, shown);
  try {
    fs::create_directory(folder);
    make(folder);
  } catch (...) {
    remove_tree(root.c_str());
    throw;
  }
  return made_[key] = folder;
}

fs::path plain_path(const fs::path& path) {
  const fs::path plain = fs::absolute(path).lexically_normal();
  return plain.has_filename() ? plain : plain.parent_path();
}

void add_link(const fs::path& at, const fs::path& target) {
  fs::create_directories(at.parent_path());
  fs::create_symlink(target, at);
}

fs::path shown_folder(const fs::path& folder) {
  ShownPaths& paths = shown_paths();
  const std::lock_guard lock(paths.mutex);
  const auto found = paths.by_folder.find(folder.string());
  return found == paths.by_folder.end() ? folder : fs::path(found->second);
}

std::string with_shown_paths(std::string text) {
  ShownPaths& paths = shown_paths();
  if (!paths.any) return text;
  const std::lock_guard lock(paths.mutex);
  for (const auto& [folder, shown] : paths.by_folder)
    for (size_t at = 0; (at = text.find(folder, at)) != text.npos;)
      at = replace_path(text, at, folder, shown);
  return text;
}

std::vector<fs::path> files_behind_links(const fs::path& folder) {
  std::vector<fs::path> files;
  if (!is_shown_otherwise(folder)) return files;
  walk(folder, [&](const fs::directory_entry& entry) {
    std::error_code dangling;
    if (!entry.is_symlink()) return;
    if (fs::path real = fs::canonical(entry.path(), dangling); !dangling) files.push_back(std::move(real));
  });
  return files;
}

}  // namespace mlxe
