#include "base/remove_tree.h"

#ifdef __linux__
#include <dirent.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#else
#include <filesystem>
#include <system_error>
#endif

namespace mlxe {

#ifdef __linux__
namespace {

bool remove_at(int folder, const char* name) noexcept;

// By the system call: opendir() allocates.
bool empty_folder(int folder) noexcept {
  constexpr size_t kBytes = 2048;  // an entry has at most 280
  alignas(dirent64) char entries[kBytes];
  bool all = true;
  for (;;) {
    const long bytes = ::syscall(SYS_getdents64, folder, entries, kBytes);
    if (bytes <= 0) return all && bytes == 0;
    for (long at = 0; at < bytes;) {
      unsigned short length = 0;
      std::memcpy(&length, entries + at + offsetof(dirent64, d_reclen), sizeof length);
      const char* name = entries + at + offsetof(dirent64, d_name);
      if (std::strcmp(name, ".") != 0 && std::strcmp(name, "..") != 0) all &= remove_at(folder, name);
      at += length;
    }
  }
}

bool remove_at(int folder, const char* name) noexcept {
  if (::unlinkat(folder, name, 0) == 0 || errno == ENOENT) return true;
  if (errno != EISDIR && errno != EPERM) return false;
  const int inner = ::openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (inner < 0) return false;
  empty_folder(inner);
  ::close(inner);
  return ::unlinkat(folder, name, AT_REMOVEDIR) == 0;
}

}  // namespace

bool remove_tree(const char* path) noexcept {
  return remove_at(AT_FDCWD, path);
}
#else
bool remove_tree(const char* path) noexcept try {
  std::error_code failed;
  std::filesystem::remove_all(path, failed);
  return !failed;
} catch (...) {  // out of memory
  return false;
}
#endif

}  // namespace mlxe
