#include "engine_cpu/cpu_report.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <functional>
#include <span>

#include "base/cpu_features.h"
#include "base/memory_block.h"
#include "base/thread_pool.h"
#include "kernels/bf16_table.h"
#include "kernels/int8_table.h"
#include "kernels/quantize_table.h"
#include "kernels/table.h"

namespace mlxe {
namespace {

std::vector<std::string> names(std::span<const Isa> variants) {
  std::vector<std::string> all;
  for (Isa isa : variants) all.emplace_back(name(isa));
  return all;
}

using Clock = std::chrono::steady_clock;

// Calls of `body` a second, on every thread at once: the best of the rounds within 50 ms.
double best_rate(ThreadPool& pool, const std::function<void(int64_t)>& body) {
  constexpr double kSeconds = 0.05;
  const auto seconds_since = [](Clock::time_point t) {
    return std::chrono::duration<double>(Clock::now() - t).count();
  };
  double best = 0;
  const Clock::time_point start = Clock::now();
  do {
    const Clock::time_point t = Clock::now();
    pool.parallel_for(pool.threads(), [&](int64_t part, int) { body(part); });
    best = std::max(best, 1 / seconds_since(t));
  } while (seconds_since(start) < kSeconds);
  return best;
}

double peak_of(ThreadPool& pool, float (*spin)(int64_t), int64_t operations) {
  if (spin == nullptr) return 0;
  // Short enough that some rounds are undisturbed, but much longer than waking the threads takes.
  constexpr double kSecondsOfARound = 1e-4;
  int64_t rounds = 1;
  const auto run = [&] {
    volatile float result = spin(rounds);
    static_cast<void>(result);
  };
  for (;; rounds *= 2) {
    const auto t = Clock::now();
    run();
    if (std::chrono::duration<double>(Clock::now() - t).count() > kSecondsOfARound) break;
  }
  return best_rate(pool, [&](int64_t) { run(); }) *
         static_cast<double>(rounds * operations * pool.threads()) / 1e9;
}

double peak_of_reading(ThreadPool& pool) {
  constexpr size_t kBytes = size_t{128} << 20;
  const MemoryBlock block(kBytes);
  const auto* values = reinterpret_cast<const float*>(block.data());
  const size_t part = kBytes / sizeof(float) / static_cast<size_t>(pool.threads());
  // Write every page first: unwritten pages all map to one physical page.
  pool.parallel_for(pool.threads(), [&](int64_t i, int) {
    std::memset(block.data() + static_cast<size_t>(i) * part * sizeof(float), 1, part * sizeof(float));
  });
  const auto read = [&](int64_t i) {
    volatile size_t end = quantize_kernels().find_not_finite(values + static_cast<size_t>(i) * part, part);
    static_cast<void>(end);
  };
  return best_rate(pool, read) * static_cast<double>(part * sizeof(float)) * pool.threads() / 1e9;
}

}  // namespace

CpuReport cpu_report() {
  return {names(compiled_variants()), names(runnable_variants()), name(active_variant()), available_cores()};
}

MachinePeaks measured_peaks(int threads) {
  ThreadPool pool(threads);
  MachinePeaks peaks;
  peaks.float32 = peak_of(pool, kernels().spin, kernels().flops_per_round);
  peaks.int8 = peak_of(pool, int8_kernels().spin, int8_kernels().operations_per_round);
  peaks.bf16 = peak_of(pool, bf16_kernels().spin, bf16_kernels().flops_per_round);
  if (peaks.bf16 == 0) peaks.bf16 = peaks.float32;  // without bfloat16 products, float32 ones are used
  peaks.read = peak_of_reading(pool);
  return peaks;
}

}  // namespace mlxe
