// Batches small calls from several threads. While `at_once` runs are in progress, further small calls wait.
// Waiting calls that request the same results then run as one batch. A text's bits do not depend on its
// batch, so only the time changes.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "base/fork_count.h"
#include "models/engine.h"

namespace mlxe::cpu {

class CallQueue {
 public:
  using Run = std::function<void(const Model&, const RunRequest&, RunResult&)>;

  // `at_once`: number of concurrent runs, at least 1.
  CallQueue(int at_once, Run run) : at_once_(at_once), run_(std::move(run)) {}
  ~CallQueue();

  // Runs the request, alone or in a batch. Throws the error that this request throws alone. In a process
  // forked after construction, calls run immediately; if a call was in progress at the fork, they throw
  // usage, because its locks stay held.
  void call(const Model& model, const RunRequest& request, RunResult& result);

  size_t waiting() const {  // calls that have not begun
    const std::lock_guard lock(shared_->mutex);
    return shared_->waiting.size();
  }

  // Whether this process was forked while a call was in progress. What calls share may then be half changed, and
  // the threads that would finish it are missing.
  bool interrupted() const noexcept { return forks_ != fork_count() && under_way_.load() > 0; }

 private:
  struct Call {
    const Model& model;
    const RunRequest& request;
    RunResult& result;
    std::exception_ptr error = nullptr;
    bool done = false;
  };
  void call_counted(const Model& model, const RunRequest& request, RunResult& result);
  std::vector<Call*> take();  // removes the first waiting call and those that can run with it
  void serve(const std::vector<Call*>& calls);
  void serve_one(Call& call);

  const int at_once_;
  const Run run_;
  const int forks_ = fork_count();
  std::atomic<int> under_way_{0};  // calls in progress, in the process that constructed the queue
  struct Shared {
    std::mutex mutex;
    std::condition_variable changed;
    std::deque<Call*> waiting;
    int running = 0;
  };
  std::unique_ptr<Shared> shared_ = std::make_unique<Shared>();
};

}  // namespace mlxe::cpu
