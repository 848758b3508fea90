// A lock between processes, which the system releases when its holder dies.
#pragma once

#include <filesystem>
#include <string_view>

namespace mlxe {

enum class IfLocked {
  wait,    // until the other process is done
  refuse,  // an error that names it
};

// Held for its lifetime, by one object in one process; an flock on `.NAME.lock` beside the target, which
// holds the holder's pid and goes with it. A killed holder leaves the file, not the lock. On a volume that
// knows no locks nothing is locked.
class FileLock {
 public:
  // `doing` completes "process 123 " in the refusal: "is writing this folder". Errors: usage (refused), io.
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
