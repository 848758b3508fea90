#include "format/folder_stamp.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <system_error>
#include <vector>

#include "base/wording.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace fs = std::filesystem;
namespace {

constexpr size_t kChangesListed = 5;  // names a message spells out

int64_t nanoseconds(const timespec& time) {
  return static_cast<int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

}  // namespace

FolderStamp::Stamp FolderStamp::stamp_of(const fs::path& file) {
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

FolderStamp::FolderStamp(const fs::path& folder) : folder_(folder) {
  std::error_code unreadable;  // whoever reads the folder says so
  const auto add = [&](const fs::path& file) {
    stamps_[file.lexically_relative(folder_).generic_string()] = stamp_of(file);
  };
  for (fs::directory_iterator entry(folder_, unreadable), end; entry != end; entry.increment(unreadable)) {
    add(entry->path());
    if (!entry->is_directory(unreadable)) continue;
    for (fs::directory_iterator inner(entry->path(), unreadable); inner != end; inner.increment(unreadable))
      add(inner->path());
  }
}

void FolderStamp::require_unchanged(std::span<const std::string> files) const {
  std::vector<std::string> changed;
  for (const std::string& file : files) {
    const auto before = stamps_.find(file);
    const bool is_deeper = before == stamps_.end() && file.find('/') != file.rfind('/');
    if (!is_deeper && (before == stamps_.end() || before->second != stamp_of(folder_ / file)))
      changed.push_back(file);
  }
  if (!changed.empty())
    throw Error(ErrorCode::io,
                fmt::format("{}: changed while it was read: {}; try again when nobody writes there",
                            folder_.string(), listed(changed, kChangesListed)));
}

}  // namespace mlxe
