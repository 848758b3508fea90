#include "metrics/resampling.h"

#include <algorithm>
#include <cmath>

#include "base/sample.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

constexpr int64_t kExactBelow = 25;

class Draws {
 public:
  explicit Draws(uint64_t seed) : state_(seed) {}
  // In [0, items). No item is likelier than another by more than items / 2^32.
  size_t next(size_t items) {
    uint64_t z = state_ += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    z ^= z >> 31;
    return static_cast<size_t>(((z >> 32) * items) >> 32);
  }

 private:
  uint64_t state_;
};

}  // namespace

std::vector<std::optional<Interval>> paired_bootstrap(size_t items, const Metrics& first,
                                                      const Metrics& second,
                                                      const BootstrapOptions& options) {
  if (items == 0 || items > UINT32_MAX)
    throw Error(ErrorCode::internal, "bootstrap: expected from 1 to 2^32 items");
  if (options.resamples < 1 || !(options.confidence > 0 && options.confidence < 1))
    throw Error(ErrorCode::usage,
                "bootstrap: expected at least one resample and a confidence between 0 and 1");
  Draws draws(options.seed);
  std::vector<std::vector<double>> differences;
  std::vector<uint32_t> counts(items);
  for (int64_t r = 0; r < options.resamples; ++r) {
    std::ranges::fill(counts, 0);
    for (size_t i = 0; i < items; ++i) ++counts[draws.next(items)];
    const std::vector<double> a = first(counts), b = second(counts);
    differences.resize(a.size());
    for (size_t m = 0; m < a.size(); ++m)
      if (const double d = b[m] - a[m]; std::isfinite(d)) differences[m].push_back(d);
  }
  const double tail = 50 * (1 - options.confidence);
  std::vector<std::optional<Interval>> intervals;
  for (const std::vector<double>& d : differences)
    intervals.push_back(
        d.empty() ? std::nullopt
                  : std::optional(Interval{.low = percentile(d, tail), .high = percentile(d, 100 - tail)}));
  return intervals;
}

McNemar mcnemar(int64_t only_first_right, int64_t only_second_right) {
  McNemar result{.only_original = only_first_right, .only_evaluated = only_second_right};
  const int64_t n = only_first_right + only_second_right;
  const int64_t fewer = std::min(only_first_right, only_second_right);
  result.exact = n < kExactBelow;
  if (result.exact) {
    double term = std::ldexp(1.0, static_cast<int>(-n)), sum = 0;  // C(n, k) / 2^n
    for (int64_t k = 0; k <= fewer; ++k) {
      sum += term;
      term *= static_cast<double>(n - k) / static_cast<double>(k + 1);
    }
    result.p = std::min(1.0, 2 * sum);
    return result;
  }
  const double apart = static_cast<double>(std::abs(only_first_right - only_second_right)) - 1;
  result.p = std::erfc(std::sqrt(apart * apart / static_cast<double>(n) / 2));
  return result;
}

}  // namespace mlxe
