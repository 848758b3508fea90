// Folders created for an output that may fail.
#pragma once

#include <filesystem>

namespace mlxe {

// Creates a folder and its missing parents. The destructor removes those it created that are empty.
class MadeFolders {
 public:
  // Errors: io.
  explicit MadeFolders(std::filesystem::path folder);
  ~MadeFolders();
  MadeFolders(const MadeFolders&) = delete;
  MadeFolders& operator=(const MadeFolders&) = delete;

 private:
  void remove_empty() noexcept;

  std::filesystem::path folder_;
  size_t made_ = 0;  // number of created levels, from folder_ upwards
};

}  // namespace mlxe
