// The buckets of relative positions against transformers.
#include "models/relative_position.h"

#include <gtest/gtest.h>

#include <vector>

namespace mlxe::test::relative_position_test {
namespace {

struct Case {
  int64_t buckets, max_distance;
  std::vector<int64_t> first_distances;  // of bucket 1, 2, ... where the key is before the query
};

// MPNetEncoder.relative_position_bucket and T5Attention._relative_position_bucket of transformers 4.57.6, which agree
// from -1000 to 1000. Distances 16, 32 and 64 of the first case lie on the edge of two buckets.
const std::vector<Case> kCases{
    {32, 128, {1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 23, 32, 46, 64, 91}},
    {20, 128, {1, 2, 3, 4, 5, 10, 19, 35, 67}},
    {64, 800, {1,  2,  3,  4,  5,  6,  7,  8,   9,   10,  11,  12,  13,  14,  15, 16,
               21, 27, 34, 43, 55, 70, 89, 114, 145, 185, 236, 301, 385, 491, 627}}};

TEST(RelativePosition, BucketsAreThoseOfTransformers) {
  for (const Case& c : kCases) {
    int64_t bucket = 0;
    for (int64_t distance = 0; distance <= 1000; ++distance) {
      const auto next = static_cast<size_t>(bucket);
      if (next < c.first_distances.size() && distance == c.first_distances[next]) ++bucket;
      EXPECT_EQ(relative_bucket(-distance, c.buckets, c.max_distance), bucket) << distance;
      if (distance == 0) continue;
      EXPECT_EQ(relative_bucket(distance, c.buckets, c.max_distance), c.buckets / 2 + bucket) << distance;
    }
    EXPECT_EQ(bucket, c.buckets / 2 - 1);
  }
}

}  // namespace
}  // namespace mlxe::test::relative_position_test
