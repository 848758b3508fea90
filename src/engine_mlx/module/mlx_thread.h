// The one thread on which this module calls MLX.
//
// MLX keeps its default device and streams per thread and starts a worker for each stream that it never ends:
// a server that ran models from its own threads would gather workers, and an engine used from two threads
// would have to order its own streams. So all calls go through here, one at a time.
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

  // Runs `job` there and waits for it; what it throws is thrown here. Jobs of several callers queue up.
  // Errors: usage (this process was forked after the thread started, so the thread is not here).
  void run(const std::function<void()>& job);

 private:
  MlxThread();
  void serve();

  const pid_t process_ = ::getpid();
  std::mutex callers_;  // one job at a time
  std::mutex mutex_;
  std::condition_variable changed_;
  const std::function<void()>* job_ = nullptr;
  std::exception_ptr failure_;
  std::thread thread_;
};

}  // namespace mlxe
