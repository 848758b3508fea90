#include "format/folder_stamp.h"

#include <fmt/format.h>

#include <system_error>
#include <vector>

#include "base/wording.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace fs = std::filesystem;
namespace {

constexpr size_t kChangesListed = 5;  // most names in a message

}  // namespace

FolderStamp::FolderStamp(const fs::path& folder) : folder_(folder) {
  std::error_code unreadable;  // ignored here: reading the folder reports it
  const auto add = [&](const fs::path& file) {
    stamps_[file.lexically_relative(folder_).generic_string()] = FileStamp::of(file);
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
    if (!is_deeper && (before == stamps_.end() || before->second != FileStamp::of(folder_ / file)))
      changed.push_back(file);
  }
  if (!changed.empty())
    throw Error(ErrorCode::io,
                fmt::format("{}: changed while it was read: {}; try again when nobody writes there",
                            folder_.string(), listed(changed, kChangesListed)));
}

}  // namespace mlxe
