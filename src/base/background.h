// One piece of work beside the caller's own. std::async would do, but libc++'s waits forever where no thread
// starts.
#pragma once

#include <exception>
#include <functional>
#include <optional>
#include <thread>
#include <utility>

namespace mlxe {

// Runs `work` on a thread of its own; where none can be started, get() runs it. Not to be moved.
template <class T>
class Background {
 public:
  explicit Background(std::function<T()> work) : work_(std::move(work)) {
    try {
      thread_ = std::thread([this] { run(); });
    } catch (const std::exception&) {  // no thread, or no memory for one
    }
  }
  ~Background() {
    if (thread_.joinable()) thread_.join();
  }
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;

  // The result, once. Waits for it; throws what `work` threw.
  T get() {
    if (thread_.joinable())
      thread_.join();
    else
      run();
    if (error_) std::rethrow_exception(error_);
    return *std::move(result_);
  }

 private:
  void run() noexcept try { result_.emplace(work_()); } catch (...) {
    error_ = std::current_exception();
  }

  std::function<T()> work_;
  std::optional<T> result_;
  std::exception_ptr error_;
  std::thread thread_;
};

}  // namespace mlxe
