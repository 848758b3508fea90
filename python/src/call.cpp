#include "call.h"

#include <unistd.h>

#include <thread>

namespace nb = nanobind;

namespace mlxe::python {
namespace {

struct Cancelled {};

// The threads that run calls. Never destroyed, because such a thread may outlive static objects.
class CallThreads {
 public:
  static CallThreads& all() {
    static auto* threads = new CallThreads;
    return *threads;
  }

  void start(std::function<void()> body) {
    begin();
    try {
      std::thread([this, body = std::move(body)] {
        body();
        end();
      }).detach();
    } catch (...) {
      end();
      throw;
    }
  }

  void wait() {
    std::unique_lock lock(mutex_);
    ended_.wait(lock, [&] { return running_ == 0 || process_ != ::getpid(); });
  }

  // Of running calls, the ones that were left.
  void count_left(int change) {
    const std::lock_guard lock(mutex_);
    left_ += change;
  }
  bool has_left() {
    const std::lock_guard lock(mutex_);
    return left_ > 0 && process_ == ::getpid();
  }

 private:
  // A forked child has none of its parent's threads.
  void begin() {
    const std::lock_guard lock(mutex_);
    if (process_ != ::getpid()) running_ = left_ = 0;
    process_ = ::getpid();
    ++running_;
  }
  void end() {
    const std::lock_guard lock(mutex_);
    --running_;
    ended_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable ended_;
  pid_t process_ = 0;
  int running_ = 0, left_ = 0;
};

bool on_main_thread() {
  return nb::cast<unsigned long>(nb::module_::import_("threading").attr("main_thread")().attr("ident")) ==
         PyThread_get_thread_ident();
}

}  // namespace

Progress CallState::progress() {
  return [state = weak_from_this()](std::string_view stage, uint64_t done, uint64_t total) {
    const std::shared_ptr<CallState> call = state.lock();
    if (!call) return;
    const std::lock_guard lock(call->mutex_);
    call->require_not_cancelled();
    call->stage_ = stage;
    call->done_ = done;
    call->total_ = total;
    call->has_news_ = true;
  };
}

Warning CallState::warning() {
  return [state = weak_from_this()](std::string_view sentence) {
    const std::shared_ptr<CallState> call = state.lock();
    if (!call) return;
    const std::lock_guard lock(call->mutex_);
    call->report.warnings.emplace_back(sentence);
  };
}

void CallState::wait_for_left_calls() {
  while (CallThreads::all().has_left()) {
    std::unique_lock lock(mutex_);
    require_not_cancelled();
    lock.unlock();
    std::this_thread::sleep_for(kPoll);
  }
}

void CallState::require_not_cancelled() const {
  if (is_cancelled_) throw Cancelled();
}

void CallState::run(const std::function<void()>& body) noexcept {
  try {
    body();
  } catch (...) {
    error_ = std::current_exception();
  }
  const std::lock_guard lock(mutex_);
  has_ended_ = true;
  if (is_left_) CallThreads::all().count_left(-1);
  ended_.notify_all();
}

bool CallState::wait(std::chrono::milliseconds time) {
  std::unique_lock lock(mutex_);
  return ended_.wait_for(lock, time, [&] { return has_ended_; });
}

void CallState::cancel(OnInterrupt on_interrupt) {
  const std::lock_guard lock(mutex_);
  is_cancelled_ = true;
  is_left_ = on_interrupt == OnInterrupt::leave && !has_ended_;
  if (is_left_) CallThreads::all().count_left(1);
}

void CallState::show(const nb::object& progress) {
  if (progress.is_none()) return;
  std::unique_lock lock(mutex_);
  if (!std::exchange(has_news_, false)) return;
  const std::string stage = stage_;
  const uint64_t done = done_, total = total_;
  lock.unlock();
  progress(stage, done, total);
}

void CallState::tell() const {
  if (report.warnings.empty()) return;
  const nb::object warn = nb::module_::import_("mlx_encoder.errors").attr("warn");
  for (const std::string& sentence : report.warnings) warn(sentence);
}

void run_call(const std::shared_ptr<CallState>& state, const nb::object& progress, OnInterrupt on_interrupt,
              const std::function<void()>& body) {
  if (on_interrupt == OnInterrupt::none || (progress.is_none() && !on_main_thread())) {
    {
      const nb::gil_scoped_release release;
      state->run(body);
    }
    state->show(progress);
  } else {
    CallThreads::all().start([state, body] { state->run(body); });
    for (bool has_ended = false; !has_ended;) {
      {
        const nb::gil_scoped_release release;
        has_ended = state->wait(kPoll);
      }
      try {
        if (PyErr_CheckSignals() != 0) throw nb::python_error();
        state->show(progress);
      } catch (const nb::python_error&) {
        state->cancel(on_interrupt);
        const nb::gil_scoped_release release;
        while (on_interrupt == OnInterrupt::wait && !state->wait(kPoll)) {
        }
        throw;
      }
    }
  }
  state->tell();
  if (state->error_) std::rethrow_exception(state->error_);
}

void wait_for_calls_at_exit() {
  nb::module_::import_("atexit").attr("register")(nb::cpp_function([] {
    const nb::gil_scoped_release release;
    CallThreads::all().wait();
  }));
}

}  // namespace mlxe::python
