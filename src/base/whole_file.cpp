#include "base/whole_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/file_errors.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

constexpr size_t kReadAtOnce = size_t{1} << 16;

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() { ::close(fd_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

 private:
  int fd_;
};

}  // namespace

std::string read_whole_file(const std::filesystem::path& path, size_t most) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
    throw Error(ErrorCode::not_found, path.string() + ": no such file");
  if (fd < 0) file_failed(path, "opened for reading", errno);
  const Descriptor closed_at_the_end(fd);
  struct stat info {};
  if (::fstat(fd, &info) == 0 && S_ISDIR(info.st_mode))
    throw Error(ErrorCode::io, path.string() + ": is a folder; name a file");
  std::string text;
  while (text.size() <= most) {
    const size_t size = text.size();
    text.resize(size + std::min(kReadAtOnce, most + 1 - size));
    const ssize_t n = ::read(fd, text.data() + size, text.size() - size);
    text.resize(size + static_cast<size_t>(std::max<ssize_t>(n, 0)));
    if (n < 0 && errno != EINTR) file_failed(path, "read", errno);
    if (n == 0) break;
  }
  return text;
}

}  // namespace mlxe
