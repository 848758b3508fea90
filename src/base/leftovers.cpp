#include "base/leftovers.h"

#include <unistd.h>

#include <cstddef>
#include <map>
#include <new>

#include "base/remove_tree.h"

namespace mlxe::leftovers {
namespace {

struct Registry {
  std::recursive_mutex mutex;
  std::map<std::filesystem::path, pid_t> paths;  // with the process that added it
};

// Never destroyed: a signal may come while global objects are destroyed. Static storage: memory may have
// run out.
Registry& registry() {
  alignas(Registry) static std::byte storage[sizeof(Registry)];
  static auto& instance = *new (storage) Registry;
  return instance;
}

}  // namespace

std::unique_lock<std::recursive_mutex> hold() {
  return std::unique_lock(registry().mutex);
}

void add(const std::filesystem::path& path) {
  registry().paths[path] = ::getpid();
}

void drop(const std::filesystem::path& path) noexcept {
  registry().paths.erase(path);
}

void remove_all() noexcept {
  hold().release();  // stays locked
  for (const auto& [path, owner] : registry().paths) {
    if (owner != ::getpid()) continue;  // of the process that this one was forked from
    // While a folder is being removed, a file that another thread was opening may still appear in it.
    for (int attempt = 0; attempt < 3 && !remove_tree(path.c_str());) ++attempt;
  }
}

}  // namespace mlxe::leftovers
