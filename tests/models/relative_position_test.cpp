// The buckets of relative positions against transformers, the slopes of linear biases against those published.
#include "models/relative_position.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <utility>
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

struct LogCase {
  int64_t buckets, max_distance;
  // The first distances of buckets `buckets / 2` + 1, + 2, ...; each smaller distance has a bucket of its own.
  std::vector<int64_t> first_distances;
};

// make_log_bucket_position of transformers 4.57.6 from -1000 to 1000, of DeBERTa-v3 and of sizes that it does not have.
const std::vector<LogCase> kLogCases{
    {256, 512, {129, 130, 131, 133, 134, 136, 137, 139, 140, 142, 143, 145, 146, 148, 150, 151, 153, 155, 156,
                158, 160, 161, 163, 165, 167, 169, 170, 172, 174, 176, 178, 180, 182, 184, 186, 188, 190, 192,
                194, 196, 198, 201, 203, 205, 207, 210, 212, 214, 216, 219, 221, 224, 226, 229, 231, 234, 236,
                239, 241, 244, 247, 249, 252, 255, 258, 260, 263, 266, 269, 272, 275, 278, 281, 284, 287, 290,
                294, 297, 300, 303, 307, 310, 313, 317, 320, 324, 327, 331, 335, 338, 342, 346, 349, 353, 357,
                361, 365, 369, 373, 377, 381, 385, 390, 394, 398, 403, 407, 411, 416, 420, 425, 430, 434, 439,
                444, 449, 454, 459, 464, 469, 474, 479, 484, 490, 495, 500, 506, 512, 517, 523, 528, 534, 540,
                546, 552, 558, 564, 570, 577, 583, 589, 596, 602, 609, 616, 622, 629, 636, 643, 650, 657, 664,
                672, 679, 686, 694, 701, 709, 717, 725, 733, 741, 749, 757, 765, 774, 782, 791, 799, 808, 817,
                826, 835, 844, 853, 863, 872, 882, 891, 901, 911, 921, 931, 941, 952, 962, 973, 983, 994}},
    {32, 128, {17,  19,  22,  25,  28,  32,  37,  43,  49,  56,  64,  74,  84,  97,  111,
               128, 146, 168, 193, 221, 254, 291, 334, 384, 441, 506, 581, 667, 765, 879}},
    {16, 40, {9,  11,  13,  16,  20,  25,  32,  40,  49,  62,  77,
              97, 121, 152, 191, 239, 299, 375, 471, 590, 740, 927}},
    {7, 50, {4, 13, 50, 199, 801}}};

TEST(RelativePosition, LogarithmicBucketsAreThoseOfTransformers) {
  for (const LogCase& c : kLogCases) {
    int64_t bucket = 0;
    size_t next = 0;
    for (int64_t distance = 0; distance <= 1000; ++distance) {
      if (distance <= c.buckets / 2)
        bucket = distance;
      else if (next < c.first_distances.size() && distance == c.first_distances[next])
        ++bucket, ++next;
      const auto row = [&](int64_t b) { return std::clamp<int64_t>(c.buckets + b, 0, 2 * c.buckets - 1); };
      EXPECT_EQ(position_row(distance, c.buckets, c.buckets, c.max_distance), row(bucket)) << distance;
      EXPECT_EQ(position_row(-distance, c.buckets, c.buckets, c.max_distance), row(-bucket)) << distance;
    }
    EXPECT_EQ(next, c.first_distances.size());
  }
}

TEST(RelativePosition, WithoutBucketsEachDistanceHasARow) {
  EXPECT_EQ(position_row(-12, 12, 0, 12), 0);
  EXPECT_EQ(position_row(-13, 12, 0, 12), 0);
  EXPECT_EQ(position_row(0, 12, 0, 12), 12);
  EXPECT_EQ(position_row(11, 12, 0, 12), 23);
  EXPECT_EQ(position_row(500, 12, 0, 12), 23);
}

// get_slopes() of the authors' code (attention_with_linear_biases), as exponents of two.
TEST(RelativePosition, SlopesOfLinearBiases) {
  const std::pair<int64_t, std::vector<float>> kExponents[] = {
      {1, {-8}},
      {2, {-4, -8}},
      {3, {-4, -8, -2}},
      {6, {-2, -4, -6, -8, -1, -3}},
      {8, {-1, -2, -3, -4, -5, -6, -7, -8}},
      {12, {-1, -2, -3, -4, -5, -6, -7, -8, -0.5f, -1.5f, -2.5f, -3.5f}},
  };
  for (const auto& [heads, exponents] : kExponents) {
    const std::vector<float> slopes = alibi_slopes(heads);
    ASSERT_EQ(slopes.size(), exponents.size());
    for (size_t i = 0; i < slopes.size(); ++i)
      EXPECT_FLOAT_EQ(slopes[i], std::exp2(exponents[i])) << i << " of " << heads;
  }
}

}  // namespace
}  // namespace mlxe::test::relative_position_test
