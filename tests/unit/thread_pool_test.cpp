// Each index once, whoever runs it; errors that don't depend on timing; callers at the same time.
#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

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

}  // namespace
}  // namespace mlxe::thread_pool_test
