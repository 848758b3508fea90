// Forked children of a process with threads do not hang when they use inherited objects.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <functional>
#include <iterator>
#include <memory>
#include <thread>

#include "base/thread_pool.h"
#include "mlx_encoder/encoder.h"
#include "model_folders.h"
#include "sanitizers.h"
#include "test_files.h"

namespace mlxe::fork_test {
namespace {

constexpr int kWrong = 7;
constexpr unsigned kSeconds = 20;

// Forks a child that runs `body`. Returns its exit status, or 128 + signal (SIGALRM after kSeconds).
int in_child(const std::function<int()>& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(kSeconds);
    int status = kWrong;
    try {
      status = body();
    } catch (...) {
    }
    ::_exit(status);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

TEST(Fork, ChildRunsAndDestroysAPoolAndMakesItsOwn) {
  if (test::kThreadSanitizer) GTEST_SKIP() << "ThreadSanitizer does not support threads started after a fork";
  auto pool = std::make_unique<ThreadPool>(4);
  const auto sum = [](ThreadPool& p) {
    std::atomic<int64_t> total{0};
    p.parallel_for(100, [&](int64_t i, int) { total += i; });
    return total == 4950;
  };
  EXPECT_TRUE(sum(*pool));
  EXPECT_EQ(in_child([&] {
              const bool right = sum(*pool);
              pool.reset();
              ThreadPool own(3);
              return right && sum(own) ? 0 : kWrong;
            }),
            0);
  EXPECT_TRUE(sum(*pool));
}

// A loop is in progress in the parent when the child begins.
TEST(Fork, ChildOfABusyPoolDoesNotWaitForIt) {
  ThreadPool pool(2);
  std::atomic<bool> inside{false}, leave{false};
  std::thread caller([&] {
    pool.parallel_for(8, [&](int64_t, int) {
      inside = true;
      while (!leave.load()) std::this_thread::yield();
    });
  });
  while (!inside.load()) std::this_thread::yield();
  EXPECT_EQ(in_child([&] {
              int done = 0;
              pool.parallel_for(8, [&](int64_t, int) { ++done; });
              return done == 8 ? 0 : kWrong;
            }),
            0);
  leave = true;
  caller.join();
}

TEST(Fork, ChildUsesAndDestroysAnEncoder) {
  auto encoder = std::make_unique<Encoder>(
      Encoder::load(test::tiny("st_mean_norm"), {.engine = EngineKind::cpu, .threads = 3}));
  const Vectors before = encoder->embed({"hello world", "a cat"});
  EXPECT_EQ(in_child([&] {
              const Vectors here = encoder->embed({"hello world", "a cat"});
              encoder.reset();
              return here.values == before.values ? 0 : kWrong;
            }),
            0);
  EXPECT_EQ(encoder->embed({"hello world", "a cat"}).values, before.values);
}

// Tokenizer and engine share one pool: three threads with the caller's.
TEST(Fork, AnEncoderStartsItsThreadsOnce) {
  const auto threads = [] {
    const std::filesystem::directory_iterator tasks("/proc/self/task");
    return std::distance(begin(tasks), end(tasks));
  };
  if (!std::filesystem::exists("/proc/self/task")) GTEST_SKIP() << "no /proc/self/task";
  const auto before = threads();
  const Encoder encoder =
      Encoder::load(test::tiny("st_mean_norm"), {.engine = EngineKind::cpu, .threads = 3});
  EXPECT_EQ(threads() - before, 2);
}

// In a child that was forked during a call, calls throw. They do not wait for locks that stay held.
TEST(Fork, ChildOfABusyEncoderIsToldAndMayDestroyIt) {
  auto shared = std::make_unique<const Encoder>(
      Encoder::load(test::tiny("st_mean_norm"), {.engine = EngineKind::cpu, .threads = 2}));
  const Encoder& encoder = *shared;
  std::atomic<bool> stop{false};
  std::atomic<int> calls{0};
  std::vector<std::thread> callers;
  for (int i = 0; i < 4; ++i)
    callers.emplace_back([&] {
      while (!stop.load()) {
        encoder.embed({"hello world"});
        calls.fetch_add(1);
      }
    });
  while (calls.load() < 8) std::this_thread::yield();
  for (int repeat = 0; repeat < 20; ++repeat) {
    const int status = in_child([&] {
      try {
        encoder.embed({"hello world"});
        return 0;
      } catch (const Error& error) {
        return error.code() == ErrorCode::usage ? 3 : kWrong;
      }
    });
    EXPECT_TRUE(status == 0 || status == 3) << status;
  }
  // A condition variable that had waiters at the fork would wait for them when it is destroyed.
  for (int repeat = 0; repeat < 20; ++repeat)
    EXPECT_EQ(in_child([&] {
                shared.reset();
                return 0;
              }),
              0);
  stop = true;
  for (std::thread& t : callers) t.join();
}

}  // namespace
}  // namespace mlxe::fork_test
