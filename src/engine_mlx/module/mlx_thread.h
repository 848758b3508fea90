// The only thread on which this module calls MLX.
//
// MLX keeps its default device and streams per thread, and starts a worker thread for each stream that
// never ends. Calls from many threads would accumulate workers, and an engine used from two threads would
// have to synchronize its streams. Therefore all calls run on this thread, one at a time.
#pragma once

#include <unistd.h>

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace mlxe {

class MlxThread {
 public:
  // Never destroyed: at exit MLX's own workers may still be running.
  static MlxThread& instance();

  // Runs `job` on the thread, waits for it and rethrows its exception. Jobs of several callers run one
  // after another.
  // Errors: usage (the process was forked after the thread started: the thread is missing).
  void run(const std::function<void()>& job);

 private:
  MlxThread();
  void serve();

  const pid_t process_ = ::getpid();
  std::mutex callers_;  // held by the caller whose job runs
  std::mutex mutex_;
  std::condition_variable changed_;
  const std::function<void()>* job_ = nullptr;
  std::exception_ptr failure_;
  std::thread thread_;
};

}  // namespace mlxe
