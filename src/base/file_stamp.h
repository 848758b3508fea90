// What tells one state of a file from another without reading it.
#pragma once

#include <cstdint>
#include <filesystem>

namespace mlxe {

// What the system says of a file: a change of its bytes shows in its times, a file put in its place in its
// number. All 0 where there is none.
struct FileStamp {
  uint64_t device = 0, inode = 0, size = 0;
  int64_t modified = 0, changed = 0;  // nanoseconds

  static FileStamp of(const std::filesystem::path& file) noexcept;
  friend bool operator==(const FileStamp&, const FileStamp&) = default;

  // Whether the same file was written to between the two. A file put in its place is none of it.
  bool was_written(const FileStamp& later) const noexcept {
    return device == later.device && inode == later.inode &&
           (size != later.size || modified != later.modified);
  }
};

}  // namespace mlxe
