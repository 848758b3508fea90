#include "format/output_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/file_errors.h"
#include "format/free_space.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

constexpr size_t kBufferBytes = size_t{1} << 20;
constexpr size_t kMaxWrite = size_t{1} << 30;  // some systems refuse 2 GB and more in one call

}  // namespace

OutputFile::OutputFile(std::filesystem::path path, uint64_t size) : path_(std::move(path)), size_(size) {
  require_free_space(path_, size_);
  buffer_.reserve(std::min<uint64_t>(kBufferBytes, size_));
  fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd_ < 0) file_failed(path_, "created", errno);
}

OutputFile::~OutputFile() {
  if (fd_ < 0) return;
  ::close(fd_);
  ::unlink(path_.c_str());
}

void OutputFile::write(std::span<const std::byte> bytes) {
  written_ += bytes.size();
  if (buffer_.size() + bytes.size() > kBufferBytes) {
    write_through(buffer_.data(), buffer_.size());
    buffer_.clear();
  }
  if (bytes.size() >= kBufferBytes) {
    write_through(bytes.data(), bytes.size());
  } else {
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
  }
}

void OutputFile::write_through(const std::byte* data, size_t size) {
  while (size > 0) {
    const ssize_t n = ::write(fd_, data, std::min(size, kMaxWrite));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      const int error = n < 0 ? errno : ENOSPC;
      if (error == ENOSPC || error == EDQUOT) throw_no_space(path_, size_);
      file_failed(path_, "written", error);
    }
    data += n;
    size -= static_cast<size_t>(n);
  }
}

void OutputFile::finish() {
  if (written_ != size_)
    throw Error(ErrorCode::internal,
                fmt::format("{}: {} bytes written, {} announced", path_.string(), written_, size_));
  write_through(buffer_.data(), buffer_.size());
  if (::fsync(fd_) != 0) file_failed(path_, "written to the device", errno);
  const int fd = std::exchange(fd_, -1);
  if (::close(fd) != 0) {
    const int error = errno;
    ::unlink(path_.c_str());
    file_failed(path_, "closed", error);
  }
}

}  // namespace mlxe
