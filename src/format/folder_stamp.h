// Notices that the files of a folder change while they are read.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>

namespace mlxe {

// What the system says of each file: a change of its bytes shows in its times, a file put in its place in its
// number.
class FolderStamp {
 public:
  // To be made before anything is read. Covers the folder's files and those of the folders in it.
  explicit FolderStamp(const std::filesystem::path& folder);

  // To be called once everything is read. `files` are relative to the folder. Errors: io (names the files
  // that changed, went or came).
  void require_unchanged(std::span<const std::string> files) const;

 private:
  struct Stamp {
    uint64_t device = 0, inode = 0, size = 0;
    int64_t modified = 0, changed = 0;  // nanoseconds
    friend bool operator==(const Stamp&, const Stamp&) = default;
  };
  static Stamp stamp_of(const std::filesystem::path& file);

  std::filesystem::path folder_;
  std::map<std::string, Stamp> stamps_;
};

}  // namespace mlxe
