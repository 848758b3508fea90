// Temporary model folders whose files are links to those of other folders.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace mlxe {

// The folders of this process, each made once for a key and removed when the process ends.
class LinkedFolders {
 public:
  LinkedFolders() = default;
  ~LinkedFolders();
  LinkedFolders(const LinkedFolders&) = delete;
  LinkedFolders& operator=(const LinkedFolders&) = delete;

  // A folder with the name of `shown`, the path that a user knows the model by, which `make` filled when it was
  // empty. Errors: io (it cannot be made), those of `make`.
  std::filesystem::path folder(const std::string& key, const std::string& name,
                               const std::filesystem::path& shown,
                               const std::function<void(const std::filesystem::path&)>& make);

 private:
  std::mutex mutex_;
  std::map<std::string, std::filesystem::path> made_;
  pid_t owner_ = 0;  // the process that made them
};

// The absolute path without "..", "." and a slash at the end.
std::filesystem::path plain_path(const std::filesystem::path& path);

// Makes `at` a link to `target`, and the folders above it.
void add_link(const std::filesystem::path& at, const std::filesystem::path& target);

// The path that such a folder is shown as, which is no such folder; any other folder as it is.
std::filesystem::path shown_folder(const std::filesystem::path& folder);

// The text with paths that mean something to a user: in place of a link in one of these folders what it leads to, in
// place of the folder the path that it is shown as. For what is printed and for records.
std::string with_shown_paths(std::string text);

// The real paths of the files that the links in one of these folders lead to; none for any other folder, which may be as
// large as a disk. Errors: io.
std::vector<std::filesystem::path> files_behind_links(const std::filesystem::path& folder);

}  // namespace mlxe
