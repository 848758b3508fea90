#include "base/thread_pool.h"

#include <atomic>
#include <condition_variable>
#include <exception>
#include <limits>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "base/fork_count.h"
#include "mlx_encoder/error.h"

#ifdef __linux__
#include <sched.h>
#endif

namespace mlxe {

int available_cores() noexcept {
#ifdef __linux__
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
#endif
  const unsigned n = std::thread::hardware_concurrency();
  return n ? static_cast<int>(n) : 1;
}

namespace {

// One spin costs a few nanoseconds. 4,000 are about 20 us, the cost of waking a sleeping thread.
constexpr int kSpins = 4000;

inline void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

constexpr int64_t kNone = std::numeric_limits<int64_t>::max();

}  // namespace

struct ThreadPool::State {
  // The indices assigned to one thread, on a cache line of their own.
  struct alignas(64) Share {
    std::atomic<int64_t> next{0};
    int64_t end = 0;
  };

  explicit State(int threads) : shares(static_cast<size_t>(threads)) {}
  ~State() {
    {
      std::lock_guard lock(sleep_mutex);
      stop.store(true);
    }
    wake.notify_all();
    for (std::thread& t : workers) t.join();
  }

  // Starts up to `most` workers.
  void start(int most) {
    workers.reserve(static_cast<size_t>(most));
    try {
      for (int slot = 1; slot <= most; ++slot) workers.emplace_back([this, slot] { work(slot); });
    } catch (const std::exception& failure) {  // std::system_error, or no memory for the thread's own data
      why_not_more = failure.what();
    }
  }

  const int forks = fork_count();
  std::string why_not_more;
  std::atomic_flag busy;  // set while the workers belong to a caller

  // The current loop. A worker enters it by incrementing `inside`, and only while `open`. The caller closes
  // the loop and waits until `inside` is 0, so that no worker uses `body` after the call returns.
  const std::function<void(int64_t, int)>* body = nullptr;
  std::vector<Share> shares;
  std::atomic<int> inside{0};
  std::atomic<bool> open{false};
  std::mutex error_mutex;
  std::exception_ptr error;
  std::atomic<int64_t> error_index{kNone};

  std::atomic<uint64_t> generation{0};
  std::atomic<bool> stop{false};
  std::atomic<int> sleepers{0};
  std::mutex sleep_mutex;
  std::condition_variable wake;
  std::vector<std::thread> workers;

  // A thread first runs its own share in order: what one index reads ahead is mostly used by the same
  // thread. Then it helps with the shares of others. All indices below a failed one run, so that the error
  // that is kept does not depend on timing.
  void drain(int slot) {
    for (size_t i = 0, first = static_cast<size_t>(slot); i < shares.size(); ++i) {
      Share& share = shares[(first + i) % shares.size()];
      for (int64_t index; (index = share.next.fetch_add(1, std::memory_order_relaxed)) < share.end;)
        if (index < error_index.load(std::memory_order_relaxed)) run(index, slot);
    }
  }

  void run(int64_t index, int slot) {
    try {
      (*body)(index, slot);
    } catch (...) {
      std::lock_guard lock(error_mutex);
      if (index > error_index.load()) return;
      error = std::current_exception();
      error_index.store(index);
    }
  }

  void work(int slot) {
    uint64_t seen = 0;
    for (;;) {
      for (int spin = 0; spin < kSpins && generation.load() == seen && !stop.load(); ++spin) relax();
      if (generation.load() == seen) {
        std::unique_lock lock(sleep_mutex);
        sleepers.fetch_add(1);
        wake.wait(lock, [&] { return generation.load() != seen || stop.load(); });
        sleepers.fetch_sub(1);
      }
      if (stop.load()) return;
      seen = generation.load();
      inside.fetch_add(1);
      if (open.load()) drain(slot);
      inside.fetch_sub(1);
    }
  }
};

ThreadPool::ThreadPool(int threads, const Warning& warning)
    : asked_(threads > 0 ? threads : available_cores()) {
  if (asked_ > kMostThreads)
    throw Error(ErrorCode::usage, "threads: found " + std::to_string(asked_) + ", expected at most " +
                                      std::to_string(kMostThreads));
  state_ = std::make_unique<State>(asked_);
  state_->start(asked_ - 1);
  threads_ = static_cast<int>(state_->workers.size()) + 1;
  if (warning && threads_ < asked_) warning(shortfall());
}

ThreadPool::~ThreadPool() {
  if (state_->forks != fork_count()) (void)state_.release();  // in a forked process: no threads to join
}

std::string ThreadPool::shortfall() const {
  if (threads_ == asked_) return {};
  return "threads: " + std::to_string(threads_) + " of " + std::to_string(asked_) + " could be started (" +
         state_->why_not_more + "); the work is done by fewer";
}

void ThreadPool::parallel_for(int64_t count, const std::function<void(int64_t, int)>& body) {
  State& s = *state_;
  if (threads_ == 1 || count <= 1 || s.forks != fork_count() ||
      s.busy.test_and_set(std::memory_order_acquire)) {
    for (int64_t i = 0; i < count; ++i) body(i, 0);
    return;
  }
  s.body = &body;
  s.error = nullptr;
  s.error_index.store(kNone, std::memory_order_relaxed);
  for (int64_t t = 0; t < threads_; ++t) {
    State::Share& share = s.shares[static_cast<size_t>(t)];
    share.end = (t + 1) * count / threads_;
    share.next.store(t * count / threads_, std::memory_order_relaxed);
  }
  s.open.store(true);
  s.generation.fetch_add(1);
  if (s.sleepers.load() > 0) {
    std::lock_guard lock(s.sleep_mutex);
    s.wake.notify_all();
  }
  s.drain(0);
  s.open.store(false);
  for (int spin = 0; s.inside.load() != 0; ++spin) spin < kSpins ? relax() : std::this_thread::yield();
  const std::exception_ptr error = std::exchange(s.error, nullptr);
  s.busy.clear(std::memory_order_release);
  if (error) std::rethrow_exception(error);
}

}  // namespace mlxe
