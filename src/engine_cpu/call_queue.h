// Calls from several threads at once, run together: while as many runs are under way as the cores have room
// for, further small calls wait, and those that ask for the same results then run as one batch. A text's bits
// do not depend on its batch, so nobody notices but by the time it takes.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <vector>

#include "base/fork_count.h"
#include "models/engine.h"

namespace mlxe::cpu {

class CallQueue {
 public:
  using Run = std::function<void(const Model&, const RunRequest&, RunResult&)>;

  // `at_once`: runs under way at the same time, at least 1.
  CallQueue(int at_once, Run run) : at_once_(at_once), run_(std::move(run)) {}

  // run(model, request, result), alone or among others. Throws what it throws for this request alone. In a
  // process forked after construction, calls run at once; usage if a call was under way when it forked, whose
  // locks nobody gives back.
  void call(const Model& model, const RunRequest& request, RunResult& result);

  size_t waiting() const {  // calls that have not begun
    const std::lock_guard lock(mutex_);
    return waiting_.size();
  }

 private:
  struct Call {
    const Model& model;
    const RunRequest& request;
    RunResult& result;
    std::exception_ptr error = nullptr;
    bool done = false;
  };
  void call_counted(const Model& model, const RunRequest& request, RunResult& result);
  std::vector<Call*> take();  // the first waiting call and those that go with it
  void serve(const std::vector<Call*>& calls);
  void serve_one(Call& call);

  const int at_once_;
  const Run run_;
  const int forks_ = fork_count();
  std::atomic<int> under_way_{0};  // calls of the process that made the queue
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Call*> waiting_;
  int running_ = 0;
};

}  // namespace mlxe::cpu
