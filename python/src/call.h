// One call of the library from Python: without the GIL, ended by Ctrl-C, with progress and warnings.
//
// Only Python's main thread receives signals, and it handles them only while it runs Python code. So on that thread the
// library's work runs on a thread of its own, and the main thread looks for signals meanwhile. KeyboardInterrupt is then
// raised within kPoll, however long a batch of the model takes. Calls that are known to be brief run on the main thread:
// starting a thread takes some 40 microseconds.
#pragma once

#include <nanobind/nanobind.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "mlx_encoder/encoder.h"
#include "mlx_encoder/types.h"

namespace mlxe::python {

// The longest time until a signal is seen. Looking costs microseconds.
inline constexpr std::chrono::milliseconds kPoll{50};

// A call that takes less is brief. A tenth of the time in which Ctrl-C should be seen, because calls of one size differ.
inline constexpr std::chrono::milliseconds kBrief{20};

enum class OnInterrupt {
  none,   // the call is brief
  leave,  // KeyboardInterrupt at once: the batch in progress ends on its own thread, and its result is dropped
  wait,   // KeyboardInterrupt once the call has removed its unfinished files
};

// What a call shares with the thread that waits for it.
class CallState : public std::enable_shared_from_this<CallState> {
 public:
  CallReport report;

  // For the options of the library; both may be kept longer than the call. Progress ends a call that was cancelled, by
  // an exception.
  Progress progress();
  Warning warning();
  // Waits until calls that were left have ended: they may hold locks on files.
  void wait_for_left_calls();

 private:
  friend void run_call(const std::shared_ptr<CallState>& state, const nanobind::object& progress,
                       OnInterrupt on_interrupt, const std::function<void()>& body);
  void run(const std::function<void()>& body) noexcept;
  bool wait(std::chrono::milliseconds time);  // whether the call has ended
  void cancel(OnInterrupt on_interrupt);
  void require_not_cancelled() const;  // with the lock; throws what ends a call
  void show(const nanobind::object& progress);
  void tell() const;

  std::mutex mutex_;
  std::condition_variable ended_;
  bool has_ended_ = false, is_cancelled_ = false, is_left_ = false, has_news_ = false;
  std::string stage_;
  uint64_t done_ = 0, total_ = 0;
  std::exception_ptr error_;
};

// Runs `body` to its end, passes its warnings to Python and rethrows what it threw. `progress`: a function of (stage, done,
// total), or None. Needs the GIL, and releases it meanwhile.
void run_call(const std::shared_ptr<CallState>& state, const nanobind::object& progress,
              OnInterrupt on_interrupt, const std::function<void()>& body);

// The same with a result. `work` takes CallState& and owns everything that it uses: it may outlive the call.
template <class Work>
auto run(const nanobind::object& progress, OnInterrupt on_interrupt, Work work) {
  using Result = std::invoke_result_t<Work&, CallState&>;
  struct Job : CallState {
    explicit Job(Work w) : work(std::move(w)) {}
    Work work;
    std::optional<Result> result;
  };
  const auto job = std::make_shared<Job>(std::move(work));
  run_call(job, progress, on_interrupt, [job] { job->result.emplace(job->work(*job)); });
  return *std::move(job->result);
}

// Which calls of a model are brief: those of no more text than an earlier one that was.
class Pace {
 public:
  template <class Work>
  auto run(size_t bytes, const nanobind::object& progress, Work work) {
    const auto begin = std::chrono::steady_clock::now();
    const bool brief = bytes <= brief_bytes_.load();
    auto result = python::run(progress, brief ? OnInterrupt::none : OnInterrupt::leave, std::move(work));
    learn(bytes, std::chrono::steady_clock::now() - begin);
    return result;
  }

 private:
  void learn(size_t bytes, std::chrono::steady_clock::duration time) {
    if (time < kBrief && bytes > brief_bytes_.load()) brief_bytes_ = bytes;
    if (time >= kBrief && bytes <= brief_bytes_.load()) brief_bytes_ = 0;
  }

  std::atomic<size_t> brief_bytes_{0};
};

// Makes the interpreter wait, before it ends, for calls that were left.
void wait_for_calls_at_exit();

}  // namespace mlxe::python
