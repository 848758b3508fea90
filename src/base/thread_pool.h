// A pool of threads that runs one data-parallel loop at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "mlx_encoder/types.h"

namespace mlxe {

constexpr int kMostThreads = 1024;  // of a pool: more than the cores of any machine this runs on

// parallel_for may be called from several threads at once: one call gets the workers, the others run their
// whole loop on their own thread, so a concurrent caller never waits for another's work. What an index
// computes must not depend on which thread runs it. Workers spin briefly for new work, then sleep: idle costs
// nothing. In a process forked after construction the workers are missing: the caller runs every loop, and
// destruction leaves the workers' memory as it is.
class ThreadPool {
 public:
  // `threads`: in total, the caller included; 0: all cores this process may use. Where the system can't start
  // so many, the pool has those it started, and `warning` hears of it. Errors: usage (more than
  // kMostThreads).
  explicit ThreadPool(int threads, const Warning& warning = {});
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const noexcept { return threads_; }
  // What `warning` heard: a sentence if fewer threads than asked for could be started, else empty.
  std::string shortfall() const;

  // Calls body(index, slot) once for each index in [0, count); slot in [0, threads()) is unique among the
  // threads running this loop at the time, so it can address per-thread scratch. Of the
  // exceptions thrown the one of the lowest index is rethrown here.
  void parallel_for(int64_t count, const std::function<void(int64_t index, int slot)>& body);

 private:
  struct State;
  std::unique_ptr<State> state_;
  int threads_, asked_;
};

int available_cores() noexcept;  // cores this process may run on

}  // namespace mlxe
