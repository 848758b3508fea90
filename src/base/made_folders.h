// Folders made for an output that may come to nothing.
#pragma once

#include <filesystem>

namespace mlxe {

// Makes a folder and those above it. What was made goes again at the end, as far as it is empty.
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
  size_t made_ = 0;  // how many levels, from folder_ upwards, did not exist
};

}  // namespace mlxe
