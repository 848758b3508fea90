#include "engine_cpu/cpu_report.h"

#include <algorithm>
#include <chrono>
#include <span>

#include "base/cpu_features.h"
#include "base/thread_pool.h"
#include "kernels/table.h"

namespace mlxe {
namespace {

std::vector<std::string> names(std::span<const Isa> variants) {
  std::vector<std::string> all;
  for (Isa isa : variants) all.emplace_back(name(isa));
  return all;
}

}  // namespace

CpuReport cpu_report() {
  return {names(compiled_variants()), names(runnable_variants()), name(active_variant()), available_cores()};
}

double measured_peak_gflops(int threads) {
  using Clock = std::chrono::steady_clock;
  constexpr double kSeconds = 0.05;
  const Kernels& k = kernels();
  ThreadPool pool(threads);
  // Short enough that some of them are disturbed by nothing, long against waking the threads.
  constexpr double kFlopsOfRound = 2e7;
  const auto rounds = static_cast<int64_t>(kFlopsOfRound) / k.flops_per_round;
  double best = 0;
  const auto seconds_since = [](Clock::time_point t) {
    return std::chrono::duration<double>(Clock::now() - t).count();
  };
  const Clock::time_point start = Clock::now();
  do {
    const Clock::time_point t = Clock::now();
    pool.parallel_for(pool.threads(), [&](int64_t, int) {
      volatile float result = k.spin(rounds);
      static_cast<void>(result);
    });
    const auto flops = static_cast<double>(rounds * k.flops_per_round * pool.threads());
    best = std::max(best, flops / seconds_since(t) / 1e9);
  } while (seconds_since(start) < kSeconds);
  return best;
}

}  // namespace mlxe
