#include "base/free_space.h"

#include <fmt/format.h>
#include <sys/statvfs.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "mlx_encoder/error.h"

namespace mlxe {
namespace fs = std::filesystem;

uint64_t free_space(const fs::path& path) {
  std::error_code error;
  fs::path existing = fs::absolute(path, error);
  while (!existing.empty() && !fs::exists(existing, error)) {
    if (existing == existing.parent_path()) break;
    existing = existing.parent_path();
  }
  // Not std::filesystem::space: libc++ reports a full volume as "unknown".
  struct statvfs volume {};
  if (::statvfs(existing.c_str(), &volume) != 0)
    throw Error(ErrorCode::io,
                fmt::format("{}: can't tell the free space: {}", existing.string(), std::strerror(errno)));
  return static_cast<uint64_t>(volume.f_bavail) * volume.f_frsize;
}

void throw_no_space(const fs::path& path, uint64_t bytes) {
  throw Error(ErrorCode::io, fmt::format("{}: {} bytes needed, {} free; make room or choose another volume",
                                         path.string(), bytes, free_space(path)));
}

void require_free_space(const fs::path& path, uint64_t bytes) {
  if (free_space(path) < bytes) throw_no_space(path, bytes);
}

}  // namespace mlxe
