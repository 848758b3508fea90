#include "base/output_path.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <system_error>

#include "base/leftovers.h"
#include "base/remove_tree.h"
#include "base/utf8.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace fs = std::filesystem;
namespace {

constexpr int kMostLinks = 40;        // Linux's limit
constexpr size_t kLongestName = 200;  // 255 is the system's limit; the rest is for suffixes
constexpr const char* kPartial = ".partial-";
constexpr int kMostNames = 100;  // tried for a partial sibling

}  // namespace

int named_descriptor(const fs::path& path) {
  std::error_code unknown;
  const fs::path folder = fs::canonical(path.parent_path(), unknown);
  if (unknown || folder != fs::canonical("/dev/fd", unknown) || unknown) return -1;
  const std::string name = path.filename().string();
  int descriptor = -1;
  const auto parsed = std::from_chars(name.data(), name.data() + name.size(), descriptor);
  return parsed.ec == std::errc() && parsed.ptr == name.data() + name.size() ? descriptor : -1;
}

fs::path resolved_output(const fs::path& path) {
  fs::path at = fs::absolute(path);
  for (int links = 0; links < kMostLinks; ++links) {
    if (!at.has_filename()) at = at.parent_path();  // without a trailing slash
    if (at.filename() == "." || at.filename() == "..") at = fs::weakly_canonical(at);
    if (!at.has_filename()) return at;  // the root
    const fs::path folder = fs::weakly_canonical(at.parent_path());
    at = folder / at.filename();
    if (const int descriptor = named_descriptor(at); descriptor >= 0)
      return fmt::format("/dev/fd/{}", descriptor);
    if (!fs::is_symlink(at)) return at;
    at = folder / fs::read_symlink(at);
  }
  throw Error(ErrorCode::io, path.string() + ": links in a circle; name another file");
}

fs::path hidden_sibling(const fs::path& target, std::string_view suffix) {
  std::string name = target.filename().string();
  if (name.size() > kLongestName) {
    size_t end = kLongestName;
    while (end > 0 && !begins_code_point(name[end])) --end;  // never cut inside a UTF-8 character
    name.resize(end);
  }
  return target.parent_path() / fmt::format(".{}{}", name, suffix);
}

fs::path make_partial_sibling(const fs::path& target, const std::function<int(const fs::path&)>& make) {
  const auto held = leftovers::hold();
  for (int attempt = 0;; ++attempt) {
    uint32_t random = 0;  // machines that share a disk may have the same pid
    if (::getentropy(&random, sizeof random) != 0)
      throw Error(ErrorCode::io,
                  fmt::format("{}: can't draw a random name: {}", target.string(), std::strerror(errno)));
    fs::path made = hidden_sibling(target, fmt::format("{}{}-{:08x}", kPartial, ::getpid(), random));
    leftovers::add(made);
    const int error = make(made);
    if (error == 0) return made;
    leftovers::drop(made);
    if (error == EEXIST && attempt < kMostNames) continue;
    errno = error;
    return {};
  }
}

bool is_within(const fs::path& path, const fs::path& folder) {
  const fs::path relative = path.lexically_relative(folder);
  return !relative.empty() && *relative.begin() != "..";  // "." when equal
}

std::string target_of_partial(const fs::path& path) {
  const std::string file = path.filename().string();
  const size_t end = file.rfind(kPartial);
  return file.starts_with('.') && end != file.npos ? file.substr(1, end - 1) : "";
}

void remove_stale_partials(const fs::path& target) noexcept try {
  const std::string prefix = hidden_sibling(target, kPartial).filename().string();
  std::error_code ignored;
  for (fs::directory_iterator entry(target.parent_path(), ignored), end; entry != end;
       entry.increment(ignored)) {
    const std::string name = entry->path().filename().string();
    if (!name.starts_with(prefix)) continue;
    long pid = 0;
    const char* begin = name.data() + prefix.size();
    const auto parsed = std::from_chars(begin, name.data() + name.size(), pid);
    if (parsed.ec != std::errc() || pid <= 0 || *parsed.ptr != '-') continue;
    if (::kill(static_cast<pid_t>(pid), 0) == 0 || errno != ESRCH) continue;
    // The pid may belong to another machine. Then that machine's process holds the lock.
    const int fd = ::open(entry->path().c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) continue;
    if (::flock(fd, LOCK_EX | LOCK_NB) == 0) remove_tree(entry->path().c_str());
    ::close(fd);
  }
} catch (const std::exception&) {  // out of memory: a later call removes them
}

void sync_folder(const fs::path& folder) noexcept {
  const int fd = ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  ::fsync(fd);
  ::close(fd);
}

}  // namespace mlxe
