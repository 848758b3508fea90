// Detects changes of a file without reading it.
#pragma once

#include <cstdint>
#include <filesystem>

namespace mlxe {

// Metadata of a file. Writing changes the times; replacing the file changes the inode. All 0 if there is no
// file.
struct FileStamp {
  uint64_t device = 0, inode = 0, size = 0;
  int64_t modified = 0, changed = 0;  // nanoseconds

  static FileStamp of(const std::filesystem::path& file) noexcept;
  friend bool operator==(const FileStamp&, const FileStamp&) = default;

  // Whether this file was written to before `later` was taken. False if another file replaced it.
  bool was_written(const FileStamp& later) const noexcept {
    return device == later.device && inode == later.inode &&
           (size != later.size || modified != later.modified);
  }
};

}  // namespace mlxe
