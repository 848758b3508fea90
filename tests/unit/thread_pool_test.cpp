// Each index runs once; errors do not depend on timing; several callers at once.
#include "base/thread_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "sanitizers.h"
#include "test_files.h"

namespace mlxe::thread_pool_test {
namespace {

TEST(ThreadPool, RunsEachIndexOnceInASlotOfItsOwn) {
  for (int threads : {1, 2, 3, 7}) {
    ThreadPool pool(threads);
    for (int64_t count : {0, 1, 2, 5, 6, 7, 8, 100, 1001}) {
      std::vector<std::atomic<int>> runs(static_cast<size_t>(count)), inside(static_cast<size_t>(threads));
      std::atomic<bool> shared{false};
      pool.parallel_for(count, [&](int64_t i, int slot) {
        if (inside[static_cast<size_t>(slot)].fetch_add(1) != 0) shared = true;
        runs[static_cast<size_t>(i)].fetch_add(1);
        inside[static_cast<size_t>(slot)].fetch_sub(1);
      });
      EXPECT_FALSE(shared);
      for (int64_t i = 0; i < count; ++i)
        EXPECT_EQ(runs[static_cast<size_t>(i)], 1) << i << " of " << count << ", " << threads << " threads";
    }
  }
}

TEST(ThreadPool, HelpsWithTheShareOfAThreadThatIsBusy) {
  ThreadPool pool(2);
  std::atomic<int> done{0};
  pool.parallel_for(10, [&](int64_t i, int) {
    if (i == 0)
      while (done.load() < 9) std::this_thread::yield();  // until all others have run
    done.fetch_add(1);
  });
  EXPECT_EQ(done, 10);
}

TEST(ThreadPool, ThrowsTheErrorOfTheLowestIndex) {
  ThreadPool pool(4);
  for (int repeat = 0; repeat < 200; ++repeat) {
    const int64_t lowest = repeat % 37;
    try {
      pool.parallel_for(100, [&](int64_t i, int) {
        if (i >= lowest && (i - lowest) % 7 == 0) throw std::runtime_error(std::to_string(i));
      });
      FAIL() << "no error";
    } catch (const std::runtime_error& e) {
      EXPECT_EQ(e.what(), std::to_string(lowest));
    }
  }
  std::atomic<int> after{0};
  pool.parallel_for(100, [&](int64_t, int) { after.fetch_add(1); });
  EXPECT_EQ(after, 100);
}

TEST(ThreadPool, ServesCallersAtTheSameTime) {
  ThreadPool pool(3);
  std::vector<std::thread> callers;
  std::vector<std::atomic<int64_t>> sums(6);
  for (size_t c = 0; c < sums.size(); ++c)
    callers.emplace_back([&, c] {
      for (int repeat = 0; repeat < 200; ++repeat)
        pool.parallel_for(50, [&](int64_t i, int) { sums[c].fetch_add(i); });
    });
  for (std::thread& t : callers) t.join();
  for (const auto& sum : sums) EXPECT_EQ(sum, 200 * 49 * 50 / 2);
}

TEST(ThreadPool, RefusesMoreThreadsThanAnyMachineRuns) {
  const std::string said = test::error_text([] { ThreadPool pool(100'000); }, ErrorCode::usage);
  EXPECT_THAT(said, testing::HasSubstr("found 100000, expected at most 1024"));
}

// The whole stack of a thread counts as address space: under a low limit, few threads start.
TEST(ThreadPool, WorksWithTheThreadsThatStart) {
  if (test::kSanitized) GTEST_SKIP() << "sanitizers need all of the address space";
  const pid_t child = ::fork();
  if (child == 0) {
    std::ifstream statm("/proc/self/statm");
    rlim_t pages = 0;
    statm >> pages;
    const rlim_t limit = pages * static_cast<rlim_t>(::sysconf(_SC_PAGESIZE)) + (rlim_t{64} << 20);
    const rlimit limits{limit, limit};
    ::setrlimit(RLIMIT_AS, &limits);
    std::string heard;
    ThreadPool pool(64, [&](std::string_view sentence) { heard = sentence; });
    std::atomic<int> done{0};
    pool.parallel_for(1000, [&](int64_t, int) { done.fetch_add(1); });
    const bool few = pool.threads() > 1 && pool.threads() < 64 && done == 1000;
    const bool told =
        heard == pool.shortfall() && heard.find(" of 64 could be started (") != std::string::npos;
    ::_exit(few && told ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
}

TEST(ThreadPool, SaysNothingWhereAllStart) {
  test::Heard heard;
  ThreadPool pool(3, heard.warning());
  EXPECT_TRUE(heard.sentences.empty());
  EXPECT_EQ(pool.shortfall(), "");
}

}  // namespace
}  // namespace mlxe::thread_pool_test
