// The movement of vectors relative to their distances: compared with direct sums, and in cases where a
// cosine alone is misleading.
#include "metrics/vector_space.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <vector>

#include "compare/sequences.h"
#include "gates/limits.h"
#include "metrics/difference_meter.h"
#include "model_folders.h"

namespace mlxe {
namespace {

using Rows = std::vector<std::vector<float>>;

// Sums of at most 200 * 200 float64 values of at most 1, in another order: 4e4 * 2^-53 < 1e-11.
constexpr double kTolerance = 1e-9;

Rows random_rows(size_t count, size_t columns, unsigned seed, double deviation = 1) {
  const std::vector<float> values = test::random_weights(count * columns, seed, deviation);
  Rows rows;
  for (size_t i = 0; i < count; ++i)
    rows.emplace_back(values.begin() + static_cast<std::ptrdiff_t>(i * columns),
                      values.begin() + static_cast<std::ptrdiff_t>((i + 1) * columns));
  return rows;
}

Rows sum(const Rows& a, const Rows& b) {
  Rows rows = a;
  for (size_t i = 0; i < a.size(); ++i)
    for (size_t j = 0; j < a[i].size(); ++j) rows[i][j] += b[i % b.size()][j];
  return rows;
}

std::vector<size_t> all_of(const Rows& rows) {
  std::vector<size_t> indices(rows.size());
  std::iota(indices.begin(), indices.end(), size_t{0});
  return indices;
}

double mean_cosine(const Rows& a, const Rows& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += row_cosine(a[i], b[i]);
  return sum / static_cast<double>(a.size());
}

VectorSpace measured(const Rows& original, const Rows& quantized, int threads = 1) {
  VectorSpaceMeter meter(all_of(original));
  for (size_t i = 0; i < original.size(); ++i) meter.add(i, original[i], quantized[i]);
  return *meter.result(mean_cosine(original, quantized), threads);
}

// The k nearest rows of row q, by cosine.
std::vector<size_t> nearest(const Rows& rows, size_t q, size_t k) {
  std::vector<size_t> order;
  for (size_t i = 0; i < rows.size(); ++i)
    if (i != q) order.push_back(i);
  std::ranges::stable_sort(order, std::greater{}, [&](size_t i) { return row_cosine(rows[q], rows[i]); });
  order.resize(k);
  return order;
}

TEST(VectorSpace, IsWhatItsDefinitionsSay) {
  const Rows original = random_rows(151, 24, 1), quantized = sum(original, random_rows(151, 24, 2, 0.3));
  const VectorSpace space = measured(original, quantized);
  double between = 0;
  for (size_t i = 0; i < original.size(); ++i)
    for (size_t j = 0; j < i; ++j) between += row_cosine(original[i], original[j]);
  between /= 151 * 150 / 2;
  EXPECT_EQ(space.texts, 151);
  EXPECT_EQ(space.compared, 151);
  EXPECT_EQ(space.neighbours, 10);
  EXPECT_NEAR(space.mean_cosine, between, kTolerance);
  EXPECT_NEAR(space.relative_error, (1 - mean_cosine(original, quantized)) / (1 - between), kTolerance);

  int64_t kept = 0;
  for (size_t q = 0; q < original.size(); ++q) {
    const std::vector<size_t> before = nearest(original, q, 10), after = nearest(quantized, q, 10);
    for (const size_t i : after) kept += std::ranges::count(before, i);
  }
  EXPECT_GT(kept, 600);
  EXPECT_LT(kept, 1400);
  EXPECT_EQ(std::llround(space.neighbours_kept * 1510), kept);
  EXPECT_EQ(measured(original, quantized, 3).neighbours_kept, space.neighbours_kept);
}

TEST(VectorSpace, NothingLostIsNothing) {
  const Rows rows = random_rows(40, 8, 3);
  EXPECT_EQ(measured(rows, rows).relative_error, 0);
  EXPECT_EQ(measured(rows, rows).neighbours_kept, 1);
  // Lengths of vectors have no influence.
  Rows longer = rows;
  for (auto& row : longer)
    for (float& x : row) x *= 4;
  EXPECT_EQ(measured(rows, longer).relative_error, 0);
  EXPECT_EQ(measured(rows, longer).neighbours_kept, 1);
}

// A constant vector added to all rows of both sides raises every cosine although nothing is better. The
// relative error does not change.
TEST(VectorSpace, TwinAVectorAddedToAllHidesDamageFromTheCosineAlone) {
  const Rows original = random_rows(300, 64, 4), quantized = sum(original, random_rows(300, 64, 5, 0.25));
  Rows constant = random_rows(1, 64, 6, 3);
  const Rows shifted = sum(original, constant), shifted_quantized = sum(quantized, constant);
  const double limit = cosine_limit(4);
  EXPECT_LT(mean_cosine(original, quantized), limit);
  EXPECT_GT(mean_cosine(shifted, shifted_quantized), limit) << "the cosine calls it good";

  const VectorSpace plain = measured(original, quantized), hidden = measured(shifted, shifted_quantized);
  EXPECT_LT(std::fabs(plain.mean_cosine), 0.05);
  EXPECT_GT(hidden.mean_cosine, 0.8);
  // Both are (length of the noise / length of the differences)^2, except for the part along the constant, 1
  // / 64: a few per cent, plus the spread of the lengths.
  EXPECT_NEAR(hidden.relative_error, plain.relative_error, 0.1 * plain.relative_error);
  EXPECT_GT(plain.relative_error, relative_error_limit(limit));
  EXPECT_GT(hidden.relative_error, relative_error_limit(limit));
  EXPECT_LT(plain.neighbours_kept, neighbours_limit(relative_error_limit(limit)));
  EXPECT_LT(hidden.neighbours_kept, neighbours_limit(relative_error_limit(limit)));
}

TEST(VectorSpace, EquallyNearTextsMayChangePlaces) {
  // Four corners with five texts each: the order of the other four texts of a corner is arbitrary.
  Rows original, quantized;
  for (int i = 0; i < 20; ++i) {
    std::vector<float> row(4);
    row[static_cast<size_t>(i % 4)] = 1;
    original.push_back(row);
    row[static_cast<size_t>((i + 1 + i / 4 % 3) % 4)] = 0.01f * static_cast<float>(i);
    quantized.push_back(row);
  }
  const VectorSpace space = measured(original, quantized);
  EXPECT_EQ(space.neighbours, 1);
  EXPECT_EQ(space.neighbours_kept, 1);
}

TEST(VectorSpace, NeighboursAreFewerThanTexts) {
  EXPECT_EQ(neighbours_of(3), 1);
  EXPECT_EQ(neighbours_of(20), 1);
  EXPECT_EQ(neighbours_of(21), 2);
  EXPECT_EQ(neighbours_of(100), 9);
  EXPECT_EQ(neighbours_of(101), 10);
  EXPECT_EQ(neighbours_of(1'000'000), 10);
}

TEST(VectorSpace, OfFewerThanThreeTextsThereIsNone) {
  const Rows rows = random_rows(2, 8, 7);
  VectorSpaceMeter meter(all_of(rows));
  for (size_t i = 0; i < rows.size(); ++i) meter.add(i, rows[i], rows[i]);
  EXPECT_FALSE(meter.result(1, 1).has_value());
  EXPECT_EQ(MeanCosine().value(), 1);
}

TEST(VectorSpace, VectorsThatAreAllOneMakeAnyErrorInfinite) {
  const Rows same(5, {1, 0, 0});
  EXPECT_EQ(measured(same, same).relative_error, 0);
  EXPECT_EQ(measured(same, random_rows(5, 3, 8)).relative_error, std::numeric_limits<double>::infinity());
}

TEST(VectorSpace, ARowOfZerosIsFarFromAllAndWhatIsNoNumberPassesNothing) {
  Rows rows = random_rows(30, 8, 9), zero = rows;
  zero[3].assign(8, 0);
  const VectorSpace space = measured(zero, zero);
  EXPECT_EQ(space.neighbours_kept, 1);
  EXPECT_TRUE(std::isfinite(space.mean_cosine));
  Rows bad = rows;
  bad[3][3] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(std::isnan(measured(rows, bad).neighbours_kept));
  EXPECT_TRUE(std::isnan(measured(rows, bad).relative_error));
}

TEST(VectorSpace, OfManyTextsAnEvenSampleIsComparedAndAllAreInTheError) {
  const Rows original = random_rows(90, 8, 10), quantized = sum(original, random_rows(90, 8, 11, 0.2));
  VectorSpaceMeter meter(all_of(original), 30);
  for (size_t i = original.size(); i-- > 0;) meter.add(i, original[i], quantized[i]);  // in any order
  const VectorSpace space = *meter.result(mean_cosine(original, quantized), 1);
  EXPECT_EQ(space.texts, 90);
  EXPECT_EQ(space.compared, 30);
  EXPECT_EQ(space.neighbours, 2);
  EXPECT_NEAR(space.relative_error, measured(original, quantized).relative_error, kTolerance);
  Rows a, b;
  for (size_t i = 0; i < 90; i += 3) {
    a.push_back(original[i]);
    b.push_back(quantized[i]);
  }
  EXPECT_EQ(space.neighbours_kept, measured(a, b).neighbours_kept);
}

TEST(VectorSpace, ATextThatStandsTwiceCountsOnce) {
  const std::vector<Sequence> sequences{{.text = 0, .ids = {1, 2}},
                                        {.text = 1, .ids = {1, 2, 3}},
                                        {.text = 2, .ids = {1, 2}},
                                        {.text = 3, .ids = {}},
                                        {.text = 3, .part = 1, .ids = {1, 2, 3}},
                                        {.text = 4, .ids = {}}};
  EXPECT_THAT(different_sequences(sequences), testing::ElementsAre(0, 1, 3));
  const Rows rows = random_rows(6, 8, 12);
  VectorSpaceMeter meter(different_sequences(sequences));
  for (size_t i = 0; i < rows.size(); ++i) meter.add(i, rows[i], rows[i]);
  EXPECT_EQ(meter.result(1, 1)->texts, 3);
}

}  // namespace
}  // namespace mlxe
