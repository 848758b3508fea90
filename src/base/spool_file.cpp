#include "base/spool_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "base/file_errors.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

constexpr size_t kMostAtOnce = size_t{1} << 30;  // some systems refuse 2 GB and more in one call

[[noreturn]] void spool_failed(const char* what, int error) {
  throw Error(ErrorCode::io,
              fmt::format("a temporary file in {} can't be {}: {}; TMPDIR names another folder",
                          temporary_folder().string(), what, std::strerror(error)));
}

}  // namespace

std::filesystem::path temporary_folder() {
  std::error_code error;
  const std::filesystem::path folder = std::filesystem::temp_directory_path(error);
  if (!error) return folder;
  const char* named = std::getenv("TMPDIR");
  throw Error(ErrorCode::io, fmt::format("TMPDIR is \"{}\": {}; expected a folder for temporary files",
                                         named != nullptr ? named : "", error.message()));
}

int open_spool_file() {
  std::string name = (temporary_folder() / "mlx-encoder-XXXXXX").string();
  const int fd = ::mkostemp(name.data(), O_CLOEXEC);
  if (fd >= 0) ::unlink(name.c_str());
  return fd;
}

SpoolFile::SpoolFile() {
  fd_ = with_file_errors([] { return open_spool_file(); });
  if (fd_ < 0) spool_failed("made", errno);
}

SpoolFile::~SpoolFile() {
  ::close(fd_);
}

void SpoolFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd_, bytes.data(), std::min(bytes.size(), kMostAtOnce));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) spool_failed("written", n < 0 ? errno : ENOSPC);
    written_ += static_cast<uint64_t>(n);
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
}

void SpoolFile::read(std::span<std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n =
        ::pread(fd_, bytes.data(), std::min(bytes.size(), kMostAtOnce), static_cast<off_t>(read_));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) spool_failed("read", errno);
    if (n == 0) throw Error(ErrorCode::internal, "a temporary file ends before what was written to it");
    read_ += static_cast<uint64_t>(n);
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
}

void SpoolFile::read_all(const std::function<void(std::span<const std::byte>)>& take) {
  std::vector<std::byte> piece;
  while (read_ < written_) {
    piece.resize(std::min<uint64_t>(written_ - read_, 1 << 20));
    read(piece);
    take(piece);
  }
}

MappedFile SpoolFile::map() const {
  return MappedFile(fmt::format("/dev/fd/{}", fd_));
}

}  // namespace mlxe
