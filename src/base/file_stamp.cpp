#include "base/file_stamp.h"

#include <sys/stat.h>

namespace mlxe {
namespace {

int64_t nanoseconds(const timespec& time) {
  return static_cast<int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

}  // namespace

FileStamp FileStamp::of(const std::filesystem::path& file) noexcept {
  struct stat info {};
  if (::stat(file.c_str(), &info) != 0) return {};
#ifdef __APPLE__
  const timespec &modified = info.st_mtimespec, &changed = info.st_ctimespec;
#else
  const timespec &modified = info.st_mtim, &changed = info.st_ctim;
#endif
  return {static_cast<uint64_t>(info.st_dev), static_cast<uint64_t>(info.st_ino),
          static_cast<uint64_t>(info.st_size), nanoseconds(modified), nanoseconds(changed)};
}

}  // namespace mlxe
