// One task that runs beside its caller. Not std::async: libc++'s waits forever if no thread can be started.
#pragma once

#include <exception>
#include <functional>
#include <optional>
#include <thread>
#include <utility>

namespace mlxe {

// Runs `work` on its own thread. If no thread can be started, get() runs it. Neither copied nor moved.
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

  // Waits for the result and returns it, or throws the exception of `work`. Call once.
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
