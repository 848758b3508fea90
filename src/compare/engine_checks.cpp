#include "compare/engine_checks.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "encoder/text_batches.h"

namespace mlxe {
namespace {

constexpr size_t kCheckedTexts = 8;
// mlx pads a batch, so a product may sum in another order: float32 rounding over some ten layers of sums of
// 3072 stays below 12 * sqrt(3072) * 2^-24 * (a few) = 1e-4 of the largest value.
constexpr double kPaddedTolerance = 1e-4;

}  // namespace

double batch_tolerance(const EngineInfo& engine) {
  return engine.engine == "cpu" ? 0 : kPaddedTolerance;
}

void check_engines(const Sides& sides, std::span<const Sequence> sequences, EngineChecks& original,
                   EngineChecks& quantized) {
  // Evenly spaced through the sequences sorted by length.
  const std::vector<size_t> order = by_length(lengths_of(sequences));
  const size_t n = std::min(kCheckedTexts, order.size());
  std::array<RunRequest, 2> together = sides.requests();
  std::vector<std::array<RunRequest, 2>> alone(n, sides.requests());
  for (size_t i = 0; i < n; ++i) {
    const Sequence& s = sequences[order[n == 1 ? 0 : i * (order.size() - 1) / (n - 1)]];
    for (const Side side : {Side::original, Side::quantized}) {
      append(together[static_cast<size_t>(side)], s, side);
      append(alone[i][static_cast<size_t>(side)], s, side);
    }
  }
  for (int side = 0; side < 2; ++side) {
    const TextRunner& runner = side == 0 ? sides.original() : sides.quantized();
    EngineChecks& checks = side == 0 ? original : quantized;
    checks.texts = static_cast<int64_t>(n);
    const RunResult once = runner.run(together[side]), again = runner.run(together[side]);
    const Matrix &batch = once[sides.seen()], &repeat = again[sides.seen()];
    double largest = 0, apart = 0;
    for (size_t i = 0; i < batch.values.size(); ++i) {
      const double difference = std::fabs(static_cast<double>(batch.values[i]) - repeat.values[i]);
      checks.repeat_difference = std::max(checks.repeat_difference, difference);
      largest = std::max<double>(largest, std::fabs(batch.values[i]));
    }
    for (size_t i = 0; i < n; ++i) {
      const RunResult single = runner.run(alone[i][side]);
      const auto u = sides.output_of(once, together[side].batch, static_cast<int64_t>(i)),
                 v = sides.output_of(single, alone[i][side].batch, 0);
      for (size_t j = 0; j < u.size(); ++j)
        apart = std::max(apart, std::fabs(static_cast<double>(u[j]) - v[j]));
    }
    checks.batch_difference = apart == 0 ? 0 : apart / largest;
  }
}

}  // namespace mlxe
