// Notices that the files of a folder change while they are read.
#pragma once

#include <filesystem>
#include <map>
#include <span>
#include <string>

#include "base/file_stamp.h"

namespace mlxe {

class FolderStamp {
 public:
  // To be made before anything is read. Covers the folder's files and those of the folders in it.
  explicit FolderStamp(const std::filesystem::path& folder);

  // Whether the file, named relative to the folder, was there.
  bool had(const std::string& file) const { return stamps_.contains(file); }

  // To be called once everything is read. `files` are relative to the folder. Errors: io (names the files
  // that changed, went or came).
  void require_unchanged(std::span<const std::string> files) const;

 private:
  std::filesystem::path folder_;
  std::map<std::string, FileStamp> stamps_;
};

}  // namespace mlxe
