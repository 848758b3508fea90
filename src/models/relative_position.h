// What attention in both directions computes of relative positions: the buckets of T5 and DeBERTa, the slopes of ALiBi.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <vector>

namespace mlxe {

// The row of a table of `buckets` rows for `distance` = position of the key - position of the query. Half of the rows
// are for keys after the query. Of a half, the first half has a row for each distance; the others are spaced
// logarithmically up to `max_distance`, beyond which all distances share the last row. The arithmetic is float32, as in
// transformers' relative_position_bucket: a distance between two buckets then gets the bucket of the original.
inline int64_t relative_bucket(int64_t distance, int64_t buckets, int64_t max_distance) noexcept {
  const int64_t half = buckets / 2, exact = half / 2, first = distance > 0 ? half : 0;
  const int64_t steps = std::abs(distance);
  if (steps < exact) return first + steps;
  const float octaves =
      std::log(static_cast<float>(steps) / static_cast<float>(exact)) /
      static_cast<float>(std::log(static_cast<double>(max_distance) / static_cast<double>(exact)));
  const auto bucket = exact + static_cast<int64_t>(octaves * static_cast<float>(half - exact));
  return first + std::min(bucket, half - 1);
}

// The row of a table of 2 * span rows for `distance` = position of the query - position of the key. Distance 0 has row
// `span`; distances beyond the table share its first or last row. With `buckets`, distances up to half of them have a
// row each. Larger ones are spaced logarithmically, such that max_distance - 1 is the last of the buckets. The
// arithmetic is float32, as in transformers' make_log_bucket_position.
inline int64_t position_row(int64_t distance, int64_t span, int64_t buckets, int64_t max_distance) noexcept {
  int64_t bucket = distance;
  const int64_t exact = buckets / 2, steps = std::abs(distance);
  if (buckets > 0 && steps > exact) {
    const auto octaves = [&](int64_t n) {
      return std::log(static_cast<float>(static_cast<double>(n) / static_cast<double>(exact)));
    };
    const float position = octaves(steps) / octaves(max_distance - 1) * static_cast<float>(exact - 1);
    const int64_t past = exact + static_cast<int64_t>(std::ceil(position));
    bucket = distance < 0 ? -past : past;
  }
  return std::clamp<int64_t>(bucket + span, 0, 2 * span - 1);
}

// The slopes of heads with linear biases, after Press et al. 2022 ("Train Short, Test Long: Attention with Linear Biases
// Enables Input Length Extrapolation"). n heads, a power of two, have 2^(-8/n), 2^(-16/n), ... With another count, as in
// the authors' code, the first n heads, the largest power of two below, have those slopes, and the others have the first,
// third, ... slope of 2n heads.
inline std::vector<float> alibi_slopes(int64_t heads) {
  const auto power = static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(heads)));
  std::vector<float> slopes;
  for (int64_t head = 0; head < heads; ++head) {
    const auto steps = static_cast<double>(head < power ? 2 * (head + 1) : 2 * (head - power) + 1);
    slopes.push_back(static_cast<float>(std::exp2(-4 * steps / static_cast<double>(power))));
  }
  return slopes;
}

}  // namespace mlxe
