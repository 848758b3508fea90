#include "base/fork_count.h"

#include <pthread.h>

#include <atomic>

namespace mlxe {
namespace {

std::atomic<int> forks{0};

}  // namespace

int fork_count() noexcept {
  [[maybe_unused]] static const int registered =
      ::pthread_atfork(nullptr, nullptr, [] { forks.fetch_add(1, std::memory_order_relaxed); });
  return forks.load(std::memory_order_relaxed);
}

}  // namespace mlxe
