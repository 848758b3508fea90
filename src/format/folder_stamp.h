// Detects that files of a folder change while they are read.
#pragma once

#include <filesystem>
#include <map>
#include <span>
#include <string>

#include "base/file_stamp.h"

namespace mlxe {

class FolderStamp {
 public:
  // Construct before anything is read. Covers the files of the folder and of its subfolders.
  explicit FolderStamp(const std::filesystem::path& folder);

  // Whether the file (relative to the folder) existed at construction.
  bool had(const std::string& file) const { return stamps_.contains(file); }

  // Call after everything is read. `files` are relative to the folder. Errors: io (names the files that
  // changed, disappeared or appeared).
  void require_unchanged(std::span<const std::string> files) const;

 private:
  std::filesystem::path folder_;
  std::map<std::string, FileStamp> stamps_;
};

}  // namespace mlxe
