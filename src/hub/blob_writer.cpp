#include "hub/blob_writer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/file_errors.h"
#include "base/output_path.h"
#include "hub/snapshot_check.h"

namespace mlxe {
namespace {

constexpr size_t kMostAtOnce = size_t{1} << 30;  // some systems refuse 2 GB and more in one call

}  // namespace

BlobWriter::BlobWriter(const std::filesystem::path& blob, const RemoteFile& remote)
    : blob_(blob), incomplete_(blob.string() + ".incomplete"), remote_(remote) {
  std::filesystem::create_directories(blob.parent_path());
  fd_ = ::open(incomplete_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0666);
  if (fd_ < 0) file_failed(incomplete_, "created", errno);
  struct stat info {};
  const int failed = ::fstat(fd_, &info) == 0 ? 0 : errno;
  size_ = failed == 0 ? static_cast<uint64_t>(info.st_size) : 0;
  const bool is_longer = size_ > remote.size;
  if (failed != 0 || (is_longer && ::ftruncate(fd_, 0) != 0)) {
    const int error = failed != 0 ? failed : errno;
    ::close(fd_);
    file_failed(incomplete_, "written", error);
  }
  if (is_longer) size_ = 0;
  is_resumed_ = size_ > 0;
}

BlobWriter::~BlobWriter() {
  if (fd_ < 0) return;
  ::close(fd_);
  if (size_ == 0) ::unlink(incomplete_.c_str());
}

void BlobWriter::append(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd_, bytes.data(), std::min(bytes.size(), kMostAtOnce));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) file_failed(incomplete_, "written", n < 0 ? errno : ENOSPC);
    size_ += static_cast<uint64_t>(n);
    bytes.remove_prefix(static_cast<size_t>(n));
  }
}

bool BlobWriter::finish() {
  if (::fsync(fd_) != 0) file_failed(incomplete_, "written to the device", errno);
  if (::close(std::exchange(fd_, -1)) != 0) file_failed(incomplete_, "closed", errno);
  if (size_ != remote_.size || !has_content_of(incomplete_, remote_.etag)) {
    ::unlink(incomplete_.c_str());
    return false;
  }
  if (::rename(incomplete_.c_str(), blob_.c_str()) != 0) file_failed(blob_, "put into place", errno);
  sync_folder(blob_.parent_path());
  return true;
}

}  // namespace mlxe
