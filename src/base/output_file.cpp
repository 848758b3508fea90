#include "base/output_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <string>
#include <thread>
#include <utility>

#include "base/file_errors.h"
#include "base/free_space.h"
#include "base/leftovers.h"
#include "base/output_path.h"
#include "base/spool_file.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace fs = std::filesystem;
namespace {

constexpr size_t kBufferBytes = size_t{1} << 20;
constexpr size_t kMaxWrite = size_t{1} << 30;  // some systems refuse 2 GB and more in one call
constexpr auto kReaderWait = std::chrono::seconds(5);

[[noreturn]] void refuse(ErrorCode code, const fs::path& path, const char* why) {
  throw Error(code, fmt::format("{}: {}", path.string(), why));
}

// Opens a FIFO as soon as somebody reads it. Returns -1 and sets errno if that fails.
int open_node(const fs::path& target) {
  const auto end = std::chrono::steady_clock::now() + kReaderWait;
  for (;;) {
    const int fd = ::open(target.c_str(), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd >= 0) {
      ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) & ~O_NONBLOCK);
      return fd;
    }
    if (errno != ENXIO || std::chrono::steady_clock::now() >= end) return -1;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

// Duplicates the descriptor if it is writable. Returns -1 and sets errno if not.
int duplicate(int descriptor) {
  const int flags = ::fcntl(descriptor, F_GETFL);
  if (flags < 0) return -1;
  if ((flags & O_ACCMODE) == O_RDONLY) {
    errno = EBADF;
    return -1;
  }
  return ::fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
}

}  // namespace

OutputFile::OutputFile(fs::path path, std::optional<uint64_t> size, Placement placement)
    : path_(std::move(path)), size_(size) {
  buffer_.reserve(std::min<uint64_t>(kBufferBytes, size_.value_or(0)));
  try {
    with_file_errors([&] { open(placement); });
  } catch (...) {
    abandon();
    throw;
  }
}

OutputFile::~OutputFile() {
  abandon();
}

void OutputFile::abandon() noexcept {
  if (node_ >= 0) ::close(node_);
  if (fd_ >= 0) ::close(fd_);
  if (partial_.empty()) return;
  const auto held = leftovers::hold();
  ::unlink(partial_.c_str());
  leftovers::drop(partial_);
}

void OutputFile::open(Placement placement) {
  target_ = placement == Placement::replace ? resolved_output(path_) : path_;
  if (placement == Placement::replace) open_existing(target_);
  if (node_ >= 0) {
    open_spool();
    return;
  }
  if (size_) require_free_space(target_, *size_);
  if (placement == Placement::replace) {
    open_partial(target_);
    return;
  }
  const auto held = leftovers::hold();  // the file's folder may be one of those that are removed
  fd_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd_ < 0) failed("created", errno);
  partial_ = path_;
}

// Refuses a target that can't be written. Opens a device, pipe or descriptor.
void OutputFile::open_existing(const fs::path& target) {
  if (const int descriptor = named_descriptor(target); descriptor >= 0) {
    node_ = duplicate(descriptor);
    if (node_ < 0) failed("written", errno);
    is_standard_output_ = descriptor == STDOUT_FILENO;
    return;
  }
  struct stat info {};
  if (::stat(target.c_str(), &info) != 0) {
    if (errno != ENOENT) failed("created", errno);
    return;
  }
  if (S_ISDIR(info.st_mode)) refuse(ErrorCode::io, path_, "is a folder; name a file");
  if (S_ISCHR(info.st_mode) || S_ISFIFO(info.st_mode)) {
    node_ = open_node(target);
    if (node_ < 0 && errno == ENXIO)
      refuse(ErrorCode::usage, path_, "a pipe that nobody reads; start its reader first");
    if (node_ < 0) failed("written", errno);
    return;
  }
  if (!S_ISREG(info.st_mode))
    refuse(ErrorCode::usage, path_, "neither a file, a pipe nor a character device; name a file");
  if (::faccessat(AT_FDCWD, target.c_str(), W_OK, AT_EACCESS) != 0) failed("written", errno);
}

void OutputFile::open_partial(const fs::path& target) {
  remove_stale_partials(target);
  partial_ = make_partial_sibling(target, [&](const fs::path& partial) {
    fd_ = ::open(partial.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    return fd_ >= 0 ? 0 : errno;
  });
  if (partial_.empty()) failed("created", errno);
  ::flock(fd_, LOCK_EX | LOCK_NB);  // shows that this process lives; on a volume without locks, the pid does
  struct stat old {};
  if (::stat(target.c_str(), &old) != 0) return;
  // The new file gets the old file's owner, group and mode, as far as the user may set them.
  (void)!::fchown(fd_, old.st_uid, old.st_gid);
  ::fchmod(fd_, old.st_mode & 0777);
}

void OutputFile::open_spool() {
  fd_ = open_spool_file();
  if (fd_ < 0) failed("written: no temporary file can be made", errno);
}

void OutputFile::write(std::span<const std::byte> bytes) {
  written_ += bytes.size();
  if (buffer_.size() + bytes.size() > kBufferBytes) flush();
  if (bytes.size() >= kBufferBytes) {
    write_through(fd_, bytes.data(), bytes.size());
  } else {
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
  }
}

void OutputFile::rewrite_start(std::string_view bytes) {
  flush();
  if (::lseek(fd_, 0, SEEK_SET) != 0) failed("written", errno);
  write_through(fd_, reinterpret_cast<const std::byte*>(bytes.data()), bytes.size());
  if (::lseek(fd_, 0, SEEK_END) < 0) failed("written", errno);
}

void OutputFile::flush() {
  write_through(fd_, buffer_.data(), buffer_.size());
  buffer_.clear();
}

void OutputFile::write_through(int fd, const std::byte* data, size_t size) {
  while (size > 0) {
    const ssize_t n = ::write(fd, data, std::min(size, kMaxWrite));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) failed("written", n < 0 ? errno : ENOSPC);
    data += n;
    size -= static_cast<size_t>(n);
  }
}

void OutputFile::finish() {
  if (size_ && written_ != *size_)
    throw Error(ErrorCode::internal,
                fmt::format("{}: {} bytes written, {} announced", path_.string(), written_, *size_));
  flush();
  if (node_ >= 0) {
    copy_to_node();
  } else {
    put_into_place();
  }
}

void OutputFile::copy_to_node() {
  std::vector<std::byte> block(kBufferBytes);
  for (off_t at = 0;;) {
    const ssize_t n = ::pread(fd_, block.data(), block.size(), at);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) failed("written: its temporary file can't be read", errno);
    if (n == 0) break;
    write_through(node_, block.data(), static_cast<size_t>(n));
    at += n;
  }
  if (::close(std::exchange(node_, -1)) != 0) failed("closed", errno);
}

void OutputFile::put_into_place() {
  if (::fsync(fd_) != 0) failed("written to the device", errno);
  if (::close(std::exchange(fd_, -1)) != 0) failed("closed", errno);
  if (partial_ != target_) {
    const auto held = leftovers::hold();
    if (::rename(partial_.c_str(), target_.c_str()) != 0) failed("put into place", errno);
    leftovers::drop(partial_);
    sync_folder(target_.parent_path());
  }
  partial_.clear();
}

void OutputFile::failed(const char* what, int error) const {
  if ((error == ENOSPC || error == EDQUOT) && node_ < 0 && size_ && free_space(path_) < *size_)
    throw_no_space(path_, *size_);
  if (error == EFAULT)  // no fault of this file: the bytes come from a mapping
    throw Error(
        ErrorCode::io,
        fmt::format(
            "{}: can't be written: the file that its bytes are read from became shorter or unreadable "
            "meanwhile; run again when nothing writes to it",
            path_.string()));
  throw Error(ErrorCode::io, fmt::format("{}: can't be {}: {}", path_.string(), what, std::strerror(error)));
}

void write_whole_file(const fs::path& path, std::string_view text, Placement placement) {
  OutputFile file(path, text.size(), placement);
  file.write(text);
  file.finish();
}

void require_writable(const fs::path& path) {
  if (regular_output(path)) {
    OutputFile{path};
  } else if (::faccessat(AT_FDCWD, path.c_str(), W_OK, AT_EACCESS) != 0) {
    throw Error(ErrorCode::io, fmt::format("{}: can't be written: {}", path.string(), std::strerror(errno)));
  }
}

std::optional<fs::path> regular_output(const fs::path& path) {
  return with_file_errors([&]() -> std::optional<fs::path> {
    fs::path target = resolved_output(path);
    if (named_descriptor(target) >= 0) return std::nullopt;
    const fs::file_status status = fs::status(target);
    if (fs::is_character_file(status) || fs::is_fifo(status)) return std::nullopt;
    return target;
  });
}

}  // namespace mlxe
