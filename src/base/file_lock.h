// A lock between processes. The system releases it when its holder dies.
#pragma once

#include <filesystem>
#include <string_view>

namespace mlxe {

enum class IfLocked {
  wait,    // until the other process is done
  refuse,  // an error that names it
};

// Holds an flock on `.NAME.lock` beside the target, for the lifetime of the object. Only one object in one
// process holds it. The file contains the holder's pid and is removed at the end; a killed process leaves the
// file, but not the lock. On a volume without locks, nothing is locked.
class FileLock {
 public:
  // `doing`: what the holder does, for the error text "process 123 is writing this folder". Errors: usage
  // (another process holds the lock, IfLocked::refuse), io.
  FileLock(const std::filesystem::path& target, IfLocked if_locked, std::string_view doing);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  bool try_to_lock(const std::filesystem::path& target, IfLocked if_locked, std::string_view doing);
  void release() noexcept;

  std::filesystem::path file_;
  int fd_ = -1;
};

}  // namespace mlxe
