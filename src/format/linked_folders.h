// Temporary model folders whose files are links to those of other folders.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <string>

namespace mlxe {

// The folders of this process, each made once for a key and removed when the process ends.
class LinkedFolders {
 public:
  LinkedFolders() = default;
  ~LinkedFolders();
  LinkedFolders(const LinkedFolders&) = delete;
  LinkedFolders& operator=(const LinkedFolders&) = delete;

  // A folder with this name, which `make` filled when it was empty. Errors: io (it cannot be made), those of `make`.
  std::filesystem::path folder(const std::string& key, const std::string& name,
                               const std::function<void(const std::filesystem::path&)>& make);

 private:
  std::mutex mutex_;
  std::map<std::string, std::filesystem::path> made_;
};

// Makes `at` a link to `target`, and the folders above it.
void add_link(const std::filesystem::path& at, const std::filesystem::path& target);

}  // namespace mlxe
