// A pool of threads that runs one data-parallel loop at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "mlx_encoder/types.h"

namespace mlxe {

constexpr int kMostThreads = 1024;  // limit of a pool, above the number of cores of any machine

// parallel_for may be called from several threads at once. One call gets the workers; the others run their
// whole loop on their own thread, so that no caller waits for another's work. The result of an index must
// not depend on the thread that runs it. Workers spin briefly for new work, then sleep.
//
// In a process forked after construction the workers are missing: the caller runs every loop, and the
// destructor does not free the workers' memory.
class ThreadPool {
 public:
  // `threads`: total number, the caller included; 0: all cores this process may use. If the system starts
  // fewer, the pool uses those, with a warning. Errors: usage (more than kMostThreads).
  explicit ThreadPool(int threads, const Warning& warning = {});
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const noexcept { return threads_; }
  // The text of the warning that fewer threads than requested could be started; empty without a warning.
  std::string shortfall() const;

  // Calls body(index, slot) once for each index in [0, count). `slot`, in [0, threads()), is unique among
  // the threads that run this loop, so it can index per-thread scratch memory. Rethrows the exception of
  // the lowest index that threw.
  void parallel_for(int64_t count, const std::function<void(int64_t index, int slot)>& body);

 private:
  struct State;
  std::unique_ptr<State> state_;
  int threads_, asked_;
};

int available_cores() noexcept;  // cores this process may run on

}  // namespace mlxe
