#include "hub/repo_cache.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <system_error>

#include "base/file_errors.h"
#include "base/leftovers.h"
#include "base/output_file.h"
#include "base/output_path.h"
#include "base/whole_file.h"
#include "format/json_file.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace fs = std::filesystem;
namespace {

constexpr size_t kMostCommitBytes = 64;

std::string folder_of(const std::string& repo) {
  std::string name = "models--" + repo;
  if (const size_t slash = name.find('/'); slash != name.npos) name.replace(slash, 1, "--");
  return name;
}

// The previous holder may have removed the file: then the lock holds nobody off.
bool has_its_name(int fd, const fs::path& file) {
  struct stat opened {
  }, named{};
  return ::fstat(fd, &opened) == 0 && ::stat(file.c_str(), &named) == 0 && opened.st_dev == named.st_dev &&
         opened.st_ino == named.st_ino;
}

}  // namespace

bool is_commit(std::string_view text) {
  return !text.empty() && text.size() <= kMostCommitBytes &&
         std::ranges::all_of(text, [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; });
}

RepoCache::RepoCache(const fs::path& cache, const std::string& repo)
    : folder_(cache / folder_of(repo)), locks_(cache / ".locks" / folder_of(repo)) {}

std::optional<std::string> RepoCache::commit_of(const std::string& revision) const {
  const fs::path ref = folder_ / "refs" / revision;
  if (!fs::is_regular_file(ref))
    return is_commit(revision) && fs::is_directory(snapshot(revision)) ? std::optional(revision)
                                                                       : std::nullopt;
  std::string commit = read_whole_file(ref, kMostCommitBytes + 1);
  while (!commit.empty() && std::isspace(static_cast<unsigned char>(commit.back())) != 0) commit.pop_back();
  if (!is_commit(commit))
    throw Error(ErrorCode::format, fmt::format("{}: found {}, expected a commit; remove the file",
                                               ref.string(), printable(commit)));
  return commit;
}

bool RepoCache::is_settled(const std::string& commit, const std::string& file) const {
  return fs::exists(snapshot(commit) / file) || fs::exists(folder_ / ".no_exist" / commit / file);
}

void RepoCache::note_absent(const std::string& commit, const std::string& file) const {
  const fs::path note = folder_ / ".no_exist" / commit / file;
  if (fs::exists(note)) return;
  fs::create_directories(note.parent_path());
  write_whole_file(note, "");
}

void RepoCache::link(const std::string& commit, const std::string& file, const std::string& etag) const {
  const fs::path place = snapshot(commit) / file;
  const fs::path target = blob(etag).lexically_relative(place.parent_path());
  if (fs::is_symlink(place) && fs::read_symlink(place) == target) return;
  fs::create_directories(place.parent_path());
  const fs::path made = make_partial_sibling(place, [&](const fs::path& partial) {
    return ::symlink(target.c_str(), partial.c_str()) == 0 ? 0 : errno;
  });
  if (made.empty()) file_failed(place, "created", errno);
  const auto held = leftovers::hold();
  const int error = ::rename(made.c_str(), place.c_str()) == 0 ? 0 : errno;
  if (error != 0) ::unlink(made.c_str());
  leftovers::drop(made);
  if (error != 0) file_failed(place, "created", error);
}

void RepoCache::set_commit(const std::string& revision, const std::string& commit) const {
  if (revision == commit) return;
  const fs::path ref = folder_ / "refs" / revision;
  fs::create_directories(ref.parent_path());
  write_whole_file(ref, commit);
}

BlobLock::BlobLock(const RepoCache& cache, const std::string& etag) {
  const fs::path file = cache.locks_ / (etag + ".lock");
  fs::create_directories(cache.locks_);
  for (;;) {
    fd_ = ::open(file.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0664);
    if (fd_ < 0) file_failed(file, "opened", errno);
    int failed = 0;
    do failed = ::flock(fd_, LOCK_EX);
    while (failed != 0 && errno == EINTR);
    if (failed != 0 || has_its_name(fd_, file)) return;
    ::close(fd_);
  }
}

BlobLock::~BlobLock() {
  ::close(fd_);
}

}  // namespace mlxe
