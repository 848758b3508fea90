#include "engine_mlx/module/mlx_thread.h"

#include <exception>
#include <utility>

#include "mlx_encoder/error.h"

namespace mlxe {

MlxThread& MlxThread::instance() {
  static MlxThread& thread = *new MlxThread;
  return thread;
}

MlxThread::MlxThread() : thread_([this] { serve(); }) {}

void MlxThread::run(const std::function<void()>& job) {
  if (::getpid() != process_)
    throw Error(ErrorCode::usage,
                "the process was forked after MLX started, and MLX does not work in the child; fork first, "
                "then load the model");
  const std::lock_guard one_caller(callers_);
  std::unique_lock lock(mutex_);
  failure_ = nullptr;
  job_ = &job;
  changed_.notify_all();
  changed_.wait(lock, [this] { return job_ == nullptr; });
  if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
}

void MlxThread::serve() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return job_ != nullptr; });
    try {
      (*job_)();
    } catch (...) {
      failure_ = std::current_exception();
    }
    job_ = nullptr;
    changed_.notify_all();
  }
}

}  // namespace mlxe
