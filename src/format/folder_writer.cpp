#include "format/folder_writer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <new>
#include <string>

#include "base/file_errors.h"
#include "base/leftovers.h"
#include "base/output_path.h"
#include "base/remove_tree.h"
#include "format/linked_folders.h"
#include "format/model_folder.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace fs = std::filesystem;
namespace {

[[noreturn]] void usage(const std::string& text) {
  throw Error(ErrorCode::usage, text);
}

// Swaps two folders in one step. False if the system or volume can't.
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

void rename_or_throw(const fs::path& from, const fs::path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) file_failed(to, "put into place", errno);
}

// Needs leftovers::hold(). A signal that ends the program then removes the folder, too.
void leave_to_signals(const fs::path& folder) noexcept try {
  if (!folder.empty()) leftovers::add(folder);
} catch (const std::bad_alloc&) {  // it is removed unless a signal comes first
}

// Throws if something exists at the target that must not be replaced.
void refuse_to_replace(const fs::path& target, IfExists if_exists) {
  if (!fs::exists(target)) return;
  if (!fs::is_directory(target))
    usage(fmt::format("{}: exists and is not a folder; choose another", target.string()));
  if (fs::is_empty(target)) return;
  if (if_exists == IfExists::refuse)
    usage(fmt::format("{}: exists already; choose another folder or pass --force", target.string()));
  require_only_a_model(target);
}

// The target with its links followed. Throws every error that can be known before writing.
fs::path checked(const fs::path& target, IfExists if_exists, std::initializer_list<fs::path> sources) {
  fs::path resolved = resolved_output(target);
  if (!resolved.has_filename())
    usage(fmt::format("{}: can't be the output folder; name a new one", target.string()));
  for (const fs::path& source : sources) {
    const fs::path real_source = resolved_output(source);
    if (is_within(resolved, real_source) || is_within(real_source, resolved))
      usage(fmt::format(
          "{}: the output folder can't be, contain or lie inside the input folder {}; choose another",
          target.string(), source.string()));
    // A model that is named by a weight file, or has an adapter, is a folder of links.
    for (const fs::path& file : files_behind_links(source))
      if (is_within(file, resolved))
        usage(fmt::format("{}: the output folder holds {}, which this run reads; choose another",
                          target.string(), file.string()));
  }
  refuse_to_replace(resolved, if_exists);
  return resolved;
}

}  // namespace

FolderClaim::FolderClaim(const fs::path& target, IfExists if_exists, std::initializer_list<fs::path> sources)
    : if_exists_(if_exists),
      target_(with_file_errors([&] { return checked(target, if_exists, sources); })),
      parents_(target_.parent_path()),
      lock_(target_, IfLocked::refuse, "is writing this folder") {
  require_replaceable();  // again, now under the lock
  remove_stale_partials(target_);
}

void FolderClaim::require_replaceable() const {
  with_file_errors([&] { refuse_to_replace(target_, if_exists_); });
}

PendingFolder::PendingFolder(const FolderClaim& claim) : claim_(claim) {
  make_folder();
}

void PendingFolder::make_folder() {
  path_ = make_partial_sibling(claim_.target(), [](const fs::path& partial) {
    return ::mkdir(partial.c_str(), 0777) == 0 ? 0 : errno;
  });
  if (path_.empty()) file_failed(claim_.target(), "created", errno);
  lock_ = ::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (lock_ >= 0) ::flock(lock_, LOCK_EX | LOCK_NB);  // on a volume without locks, the pid shows it
}

PendingFolder::~PendingFolder() {
  if (!path_.empty()) {
    remove_tree(path_.c_str());
    const auto held = leftovers::hold();
    leftovers::drop(path_);
  }
  if (lock_ >= 0) ::close(lock_);
}

fs::path PendingFolder::commit() {
  return with_file_errors([&] { return put_into_place(); });
}

fs::path PendingFolder::put_into_place() {
  claim_.require_replaceable();  // on a volume without locks another process may have finished first
  if (lock_ >= 0 && ::fsync(lock_) != 0) file_failed(path_, "written to the device", errno);
  const fs::path& target = claim_.target();
  const fs::path parent =
      target.parent_path();  // now: nothing may throw between the exchange and the removal
  fs::path old;
  {
    const auto held = leftovers::hold();
    if (!fs::exists(target) || fs::is_empty(target)) {
      rename_or_throw(path_, target);
    } else if (exchange(path_, target)) {
      old = path_;
    } else {
      // Not named like a partial folder: if the process is killed between the renames, the old folder
      // survives.
      old = hidden_sibling(target, fmt::format(".replaced-{}", ::getpid()));
      rename_or_throw(target, old);
      if (::rename(path_.c_str(), target.c_str()) != 0) {
        const int error = errno;
        if (::rename(old.c_str(), target.c_str()) == 0) file_failed(target, "put into place", error);
        throw Error(
            ErrorCode::io,
            fmt::format("{}: can't be put into place: {}; the folder that was there is now called {}, "
                        "rename it back",
                        target.string(), std::strerror(error), old.string()));
      }
    }
    leftovers::drop(path_);
    path_.clear();
    leave_to_signals(old);
  }
  sync_folder(parent);
  if (old.empty() || remove_tree(old.c_str())) {
    const auto held = leftovers::hold();
    leftovers::drop(old);
    old.clear();
  }
  return old;
}

void remove_model_folder(const fs::path& folder) {
  with_file_errors([&] {
    if (fs::is_symlink(folder)) {
      fs::remove(folder);
      return;
    }
    const FolderClaim claim(folder, IfExists::replace);
    const fs::path& target = claim.target();
    if (!fs::exists(target)) return;
    const fs::path renamed = make_partial_sibling(target, [&](const fs::path& sibling) {
      return ::rename(target.c_str(), sibling.c_str()) == 0 ? 0 : errno;
    });
    if (renamed.empty()) file_failed(target, "removed", errno);
    fs::remove_all(renamed);
    const auto held = leftovers::hold();
    leftovers::drop(renamed);
  });
}

}  // namespace mlxe
