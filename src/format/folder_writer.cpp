#include "format/folder_writer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <random>
#include <string>
#include <system_error>

#include "base/file_errors.h"
#include "format/output_file.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace fs = std::filesystem;
namespace {

[[noreturn]] void usage(const std::string& text) {
  throw Error(ErrorCode::usage, text);
}

fs::path normal(const fs::path& path) {
  fs::path result = fs::absolute(path).lexically_normal();
  return result.has_filename() ? result : result.parent_path();  // without a trailing slash
}

bool inside(const fs::path& inner, const fs::path& outer) {
  const auto relative = inner.lexically_relative(outer);
  return !relative.empty() && *relative.begin() != "..";  // "." when equal
}

std::string partial_prefix(const fs::path& target) {
  return fmt::format(".{}.partial-", target.filename().string());
}

// Removes the remains of processes that are gone. Alive means: its pid exists, or somebody holds the lock
// (the pid may belong to another machine or have been given to another process).
void remove_stale(const fs::path& target) {
  const std::string prefix = partial_prefix(target);
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator(target.parent_path(), ignored)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(prefix)) continue;
    long pid = 0;
    const char* begin = name.data() + prefix.size();
    const auto parsed = std::from_chars(begin, name.data() + name.size(), pid);
    if (parsed.ec != std::errc() || pid <= 0 || *parsed.ptr != '-') continue;
    if (::kill(static_cast<pid_t>(pid), 0) == 0 || errno != ESRCH) continue;
    const int fd = ::open(entry.path().c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) continue;
    if (::flock(fd, LOCK_EX | LOCK_NB) == 0) fs::remove_all(entry.path(), ignored);
    ::close(fd);
  }
}

// Swaps two folders in one step; false where system or volume can't.
bool exchange(const fs::path& a, const fs::path& b) {
#if defined(__linux__) && defined(RENAME_EXCHANGE)
  return ::renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE) == 0;
#elif defined(__APPLE__)
  return ::renamex_np(a.c_str(), b.c_str(), RENAME_SWAP) == 0;
#else
  (void)a, (void)b;
  return false;
#endif
}

// So that a rename survives a loss of power; a volume that can't is no worse than without.
void sync_folder(const fs::path& folder) {
  const int fd = ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  ::fsync(fd);
  ::close(fd);
}

void rename_or_throw(const fs::path& from, const fs::path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) file_failed(to, "put into place", errno);
}

}  // namespace

void write_whole_file(const fs::path& path, std::string_view text) {
  OutputFile file(path, text.size());
  file.write(std::as_bytes(std::span(text)));
  file.finish();
}

void replace_whole_file(const fs::path& path, std::string_view text) {
  const fs::path next = path.parent_path() / fmt::format(".{}.next", path.filename().string());
  write_whole_file(next, text);
  try {
    rename_or_throw(next, path);
  } catch (...) {
    ::unlink(next.c_str());
    throw;
  }
  sync_folder(path.parent_path());
}

PendingFolder::PendingFolder(const fs::path& target, IfExists if_exists,
                             std::initializer_list<fs::path> sources)
    : if_exists_(if_exists) {
  with_file_errors([&] {
    target_ = normal(target);
    check_target(sources);
    try {
      make_folder();
    } catch (...) {
      remove_made_parents();
      throw;
    }
  });
}

void PendingFolder::check_target(std::initializer_list<fs::path> sources) {
  if (!target_.has_filename())
    usage(fmt::format("{}: can't be the output folder; name a new one", target_.string()));
  const fs::path real_target = fs::weakly_canonical(target_);
  for (const fs::path& source : sources) {
    const fs::path real_source = fs::weakly_canonical(normal(source));
    if (inside(real_target, real_source) || inside(real_source, real_target))
      usage(fmt::format(
          "{}: the output folder can't be, contain or lie inside the input folder {}; choose another",
          target_.string(), source.string()));
  }
  // Resolving a link to a folder here keeps the link and replaces what it points to.
  if (fs::is_symlink(target_)) target_ = real_target;
  require_replaceable();
}

void PendingFolder::require_replaceable() const {
  if (!fs::exists(target_)) return;
  if (!fs::is_directory(target_))
    usage(fmt::format("{}: exists and is not a folder; choose another", target_.string()));
  if (fs::is_empty(target_)) return;
  if (if_exists_ == IfExists::refuse)
    usage(fmt::format("{}: exists already; choose another folder or pass --force", target_.string()));
  if (!fs::exists(target_ / "config.json"))
    usage(fmt::format(
        "{}: exists and is not a model folder (no config.json), so it is not replaced; choose another",
        target_.string()));
}

void PendingFolder::make_folder() {
  const fs::path parent = target_.parent_path();
  for (fs::path p = parent; !fs::exists(p) && p != p.parent_path(); p = p.parent_path()) made_parent_ = p;
  std::error_code error;
  fs::create_directories(parent, error);
  if (error) file_failed(parent, "created", error.value());
  remove_stale(target_);

  std::random_device random;
  for (int attempt = 0; path_.empty(); ++attempt) {
    const fs::path candidate =
        parent / fmt::format("{}{}-{:08x}", partial_prefix(target_), ::getpid(), random());
    if (::mkdir(candidate.c_str(), 0777) == 0) {
      path_ = candidate;
    } else if (errno != EEXIST || attempt == 100) {
      file_failed(candidate, "created", errno);
    }
  }
  lock_ = ::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (lock_ >= 0) ::flock(lock_, LOCK_EX | LOCK_NB);  // a volume without locks still has the pid
}

PendingFolder::~PendingFolder() {
  std::error_code ignored;
  if (!path_.empty()) fs::remove_all(path_, ignored);
  if (lock_ >= 0) ::close(lock_);
  if (!path_.empty()) remove_made_parents();
}

void PendingFolder::remove_made_parents() noexcept {
  std::error_code ignored;
  if (made_parent_.empty()) return;
  for (fs::path p = target_.parent_path(); inside(p, made_parent_); p = p.parent_path())
    if (!fs::remove(p, ignored)) break;  // not empty: somebody else's
}

void PendingFolder::commit() {
  with_file_errors([&] { put_into_place(); });
}

void PendingFolder::put_into_place() {
  require_replaceable();  // somebody else may have finished first
  if (lock_ >= 0 && ::fsync(lock_) != 0) file_failed(path_, "written to the device", errno);
  if (!fs::exists(target_) || fs::is_empty(target_)) {
    rename_or_throw(path_, target_);
    path_.clear();
  } else if (exchange(path_, target_)) {
    std::error_code ignored;
    fs::remove_all(path_, ignored);  // the old folder now
    path_.clear();
  } else {
    // Not named like a partial folder: if we are killed between the renames, the old one must survive.
    const fs::path aside =
        target_.parent_path() / fmt::format(".{}.replaced-{}", target_.filename().string(), ::getpid());
    rename_or_throw(target_, aside);
    if (::rename(path_.c_str(), target_.c_str()) != 0) {
      const int error = errno;
      ::rename(aside.c_str(), target_.c_str());
      file_failed(target_, "put into place", error);
    }
    path_.clear();
    std::error_code ignored;
    fs::remove_all(aside, ignored);
  }
  sync_folder(target_.parent_path());
}

}  // namespace mlxe
