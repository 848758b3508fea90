#include "base/file_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <string>
#include <utility>

#include "base/leftovers.h"
#include "base/output_path.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace fs = std::filesystem;
namespace {

// Whether the locked file still has its name. (The previous holder may have removed the file.)
bool is_same_file(int fd, const fs::path& file) {
  struct stat opened {
  }, named{};
  return ::fstat(fd, &opened) == 0 && ::stat(file.c_str(), &named) == 0 && opened.st_dev == named.st_dev &&
         opened.st_ino == named.st_ino;
}

std::string holder(int fd) {
  char text[32] = {};
  const ssize_t size = ::pread(fd, text, sizeof text, 0);
  long pid = 0;
  std::from_chars(text, text + (size > 0 ? size : 0), pid);
  // A lock that could only be opened for reading names its last holder.
  if (pid <= 0 || (::kill(static_cast<pid_t>(pid), 0) != 0 && errno == ESRCH)) return "another process";
  return pid == ::getpid() ? "this process" : fmt::format("process {}", pid);
}

}  // namespace

FileLock::FileLock(const fs::path& target, IfLocked if_locked, std::string_view doing)
    : file_(hidden_sibling(target, ".lock")) {
  while (!try_to_lock(target, if_locked, doing)) {
  }
}

bool FileLock::try_to_lock(const fs::path& target, IfLocked if_locked, std::string_view doing) {
  fd_ = ::open(file_.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
  const int error = errno;
  struct stat left {};
  const bool exists = fd_ < 0 && ::lstat(file_.c_str(), &left) == 0;
  // A killed process of another user may have left it. Reading is enough for a lock.
  if (exists && (error == EACCES || error == EPERM))
    fd_ = ::open(file_.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd_ < 0 && exists && errno == ENOENT) return false;  // its holder has just removed it
  if (fd_ < 0 && exists)
    throw Error(
        ErrorCode::io,
        fmt::format("{}: the lock of {} can't be opened: {}; remove it if no other process writes there",
                    file_.string(), target.filename().string(), std::strerror(error)));
  if (fd_ < 0)
    throw Error(ErrorCode::io,
                fmt::format("{}: can't be created: {}", target.string(), std::strerror(error)));
  int failed = ::flock(fd_, LOCK_EX | LOCK_NB);
  if (failed != 0 && errno == EWOULDBLOCK && if_locked == IfLocked::refuse) {
    const std::string who = holder(fd_);
    ::close(std::exchange(fd_, -1));
    throw Error(ErrorCode::usage, fmt::format("{}: {} {}; wait until it is done or choose another name",
                                              target.string(), who, doing));
  }
  while (failed != 0 && (errno == EWOULDBLOCK || errno == EINTR)) failed = ::flock(fd_, LOCK_EX);
  const auto held = leftovers::hold();
  if (failed == 0 && !is_same_file(fd_, file_)) {
    ::close(std::exchange(fd_, -1));
    return false;
  }
  try {
    leftovers::add(file_);
    const std::string pid = fmt::format("{}\n", ::getpid());
    if (::ftruncate(fd_, 0) == 0) (void)!::pwrite(fd_, pid.data(), pid.size(), 0);
  } catch (...) {  // no memory
    release();
    throw;
  }
  return true;
}

FileLock::~FileLock() {
  release();
}

void FileLock::release() noexcept {
  const auto held = leftovers::hold();
  ::unlink(file_.c_str());
  leftovers::drop(file_);
  ::close(fd_);
}

}  // namespace mlxe
