// Significance of a difference: the paired bootstrap and McNemar's test.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "mlx_encoder/scoring.h"

namespace mlxe {

// How many times each item occurs in a sample. Metrics are computed over counts, so that a resample copies no items.
using Counts = std::span<const uint32_t>;

inline std::vector<uint32_t> once(size_t items) {
  return std::vector<uint32_t>(items, 1);
}

// The metrics of one side over a sample. The number of metrics is always the same.
using Metrics = std::function<std::vector<double>(Counts)>;

// For each metric the percentile interval of (second - first), both over the same resampled items. Each
// resample draws `items` of them with replacement: item (z * items) >> 32 for the upper 32 bits z of
// splitmix64 from `options.seed`; tools/make_metric_goldens.py draws the same. Resamples where a metric is
// NaN (a correlation of equal values) are left out for that metric. No interval if all are.
std::vector<std::optional<Interval>> paired_bootstrap(size_t items, const Metrics& first,
                                                      const Metrics& second, const BootstrapOptions& options);

// Over the items that only one side has right. Exact binomial for fewer than 25 of them, else chi-square with
// continuity correction, as statsmodels' mcnemar(exact=True) and (exact=False, correction=True). p = 1
// if there are none.
McNemar mcnemar(int64_t only_first_right, int64_t only_second_right);

}  // namespace mlxe
