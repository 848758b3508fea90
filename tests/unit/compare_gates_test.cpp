#include "compare/default_gates.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "gates/limits.h"
#include "test_files.h"

namespace mlxe::compare_gates_test {
namespace {

using testing::HasSubstr;

Difference perfect() {
  Difference d;
  d.rows = 1;
  d.columns = 1;
  return d;
}

Comparison embedder() {
  Comparison c;
  c.output = "pooled_vector";
  c.tensors = {{"last_hidden_state", perfect()}, {"pooled_vector", perfect()}};
  return c;
}

Comparison embedder_of_many_texts() {
  Comparison c = embedder();
  c.vectors = VectorSpace{.texts = 101, .compared = 101, .neighbours = 10};
  return c;
}

Comparison classifier() {
  Comparison c;
  c.output = "logits";
  c.tensors = {{"last_hidden_state", perfect()}, {"logits", perfect()}, {"probabilities", perfect()}};
  c.labels = LabelDifference{.texts = 10};
  c.task = {{"accuracy", 0.7, 0.7}};
  return c;
}

std::vector<std::string> failing(Comparison c, std::vector<GateSetting> settings = {}) {
  std::vector<std::string> names;
  for (const Gate& g : apply_gates(c, with_defaults({}, 0.98), settings))
    if (!g.passed) names.push_back(g.name());
  return names;
}

TEST(CosineLimit, IsTheAgreedOneAtEightAndFourBitsAndFallsBetween) {
  EXPECT_DOUBLE_EQ(cosine_limit(8), 0.995);
  EXPECT_DOUBLE_EQ(cosine_limit(4), 0.98);
  EXPECT_DOUBLE_EQ(cosine_limit(6), 0.99);
  EXPECT_NEAR(cosine_limit(3), 0.9717, 1e-4);
  EXPECT_DOUBLE_EQ(cosine_limit(2), 0.96);
  EXPECT_DOUBLE_EQ(cosine_limit(16), 0.999);
}

// docs/gates.md has both tables.
TEST(RelativeLimits, FollowFromTheCosinesLimit) {
  EXPECT_NEAR(relative_error_limit(cosine_limit(8)), 0.005, 1e-12);
  EXPECT_NEAR(relative_error_limit(cosine_limit(4)), 0.02, 1e-12);
  EXPECT_NEAR(neighbours_limit(relative_error_limit(cosine_limit(8))), 0.936, 1e-3);
  EXPECT_NEAR(neighbours_limit(relative_error_limit(cosine_limit(4))), 0.873, 1e-3);
  const GateLimits derived = with_defaults({}, 0.98), by_hand = with_defaults({.cosine = 0.9}, 0.98),
                   fixed = with_defaults({.relative_error = 0.04}, 0.98);
  EXPECT_EQ(derived.cosine, 0.98);
  EXPECT_NEAR(*derived.relative_error, 0.02, 1e-12);
  EXPECT_NEAR(*by_hand.relative_error, 0.1, 1e-12);
  EXPECT_EQ(fixed.cosine, 0.98);
  EXPECT_NEAR(*fixed.neighbours_kept, 0.82, 1e-12);
}

TEST(Gates, OfVectorsNeedTextsEnough) {
  const auto names = [](int64_t texts) {
    Comparison c = embedder();
    c.vectors = VectorSpace{.texts = texts};
    std::vector<std::string> found;
    for (const Gate& g : apply_gates(c, with_defaults({}, 0.98), {})) found.push_back(g.name());
    return found;
  };
  const char *error = "pooled_vector.relative_error", *kept = "pooled_vector.neighbours_kept";
  EXPECT_THAT(names(23), testing::Not(testing::Contains(error)));
  EXPECT_THAT(names(24), testing::AllOf(testing::Contains(error), testing::Not(testing::Contains(kept))));
  EXPECT_THAT(names(101), testing::IsSupersetOf({error, kept}));
  // If requested, they are checked for any number of texts.
  Comparison few = embedder();
  few.vectors = VectorSpace{.texts = 3, .relative_error = 0.5, .neighbours_kept = 0.5};
  EXPECT_THAT(failing(few), testing::IsEmpty());
  EXPECT_THAT(failing(few, {parse_gate("pooled_vector.relative_error=0.1"),
                            parse_gate("pooled_vector.neighbours_kept=0.9")}),
              testing::ElementsAre(error, kept));
}

StoredWeight stored(Mode mode, int bits, Shape shape) {
  StoredWeight w;
  w.scheme = {.mode = mode, .bits = bits, .group_size = 64};
  w.shape = std::move(shape);
  return w;
}

TEST(ExpectedCosine, AveragesTheLossOverQuantizedValuesOnly) {
  ExpectedCosine e;
  EXPECT_EQ(e.limit(), 0.999);
  e.add(stored(Mode::affine, 8, {100, 64}));
  e.add(stored(Mode::affine, 4, {300, 64}));
  e.add(stored(Mode::none, 0, {10000, 64}));  // left as floats
  e.add(stored(Mode::affine, 2, {64}));       // no matrix
  EXPECT_NEAR(e.limit(), 1 - (0.005 * 100 + 0.02 * 300) / 400, 1e-12);
  EXPECT_NEAR(e.bits(), 5, 1e-12);
}

TEST(Gates, TheDefaultsOfAnEmbeddingModelAndOfAClassifier) {
  std::vector<std::string> names;
  for (const Gate& g : apply_gates(embedder(), {.cosine = 0.98}, {})) names.push_back(g.name());
  EXPECT_THAT(names, testing::ElementsAre("last_hidden_state.cosine", "pooled_vector.cosine",
                                          "pooled_vector.mse", "pooled_vector.max_abs",
                                          "original.repeat_difference", "original.batch_difference",
                                          "quantized.repeat_difference", "quantized.batch_difference"));
  names.clear();
  for (const Gate& g : apply_gates(classifier(), {.cosine = 0.98}, {})) names.push_back(g.name());
  EXPECT_THAT(names, testing::Contains("probabilities.max_abs"));
  EXPECT_THAT(names, testing::Not(testing::Contains(HasSubstr("logits"))));
}

TEST(Gates, EachFailsWhenItShouldAndOnlyThen) {
  EXPECT_THAT(failing(embedder_of_many_texts()), testing::IsEmpty());
  struct Case {
    const char* name;
    void (*damage)(Comparison&, double);
    double last_good, first_bad;
  };
  const double up = 1 + 1e-12, down = 1 - 1e-12;
  const Case cases[] = {
      {"last_hidden_state.cosine", [](Comparison& c, double v) { c.tensors[0].difference.cosine.mean = v; },
       0.98, 0.98 * down},
      {"pooled_vector.cosine", [](Comparison& c, double v) { c.tensors[1].difference.cosine.mean = v; }, 0.98,
       0.98 * down},
      {"pooled_vector.mse", [](Comparison& c, double v) { c.tensors[1].difference.mse = v; }, 1e-4,
       1e-4 * up},
      {"pooled_vector.max_abs", [](Comparison& c, double v) { c.tensors[1].difference.max_abs = v; }, 0.1,
       0.1 * up},
      {"pooled_vector.relative_error", [](Comparison& c, double v) { c.vectors->relative_error = v; },
       *with_defaults({}, 0.98).relative_error, *with_defaults({}, 0.98).relative_error * up},
      {"pooled_vector.neighbours_kept", [](Comparison& c, double v) { c.vectors->neighbours_kept = v; },
       *with_defaults({}, 0.98).neighbours_kept, *with_defaults({}, 0.98).neighbours_kept * down},
      {"original.repeat_difference", [](Comparison& c, double v) { c.original.checks.repeat_difference = v; },
       0, 1e-300},
      {"quantized.repeat_difference",
       [](Comparison& c, double v) { c.quantized.checks.repeat_difference = v; }, 0, 1e-300},
      {"original.batch_difference", [](Comparison& c, double v) { c.original.checks.batch_difference = v; },
       0, 1e-300},
      {"quantized.batch_difference", [](Comparison& c, double v) { c.quantized.checks.batch_difference = v; },
       0, 1e-300},
  };
  for (const Case& k : cases) {
    Comparison c = embedder_of_many_texts();
    k.damage(c, k.last_good);
    EXPECT_THAT(failing(c), testing::IsEmpty()) << k.name;
    k.damage(c, k.first_bad);
    EXPECT_THAT(failing(c), testing::ElementsAre(k.name));
    k.damage(c, std::numeric_limits<double>::quiet_NaN());
    EXPECT_THAT(failing(c), testing::ElementsAre(k.name)) << "not a number";
  }
}

TEST(Gates, TheToleranceOfAnEngineIsItsLimit) {
  Comparison c = embedder();
  c.quantized.checks = {.batch_difference = 1e-5, .batch_tolerance = 1e-4};
  EXPECT_THAT(failing(c), testing::IsEmpty());
  c.quantized.checks.batch_difference = 2e-4;
  EXPECT_THAT(failing(c), testing::ElementsAre("quantized.batch_difference"));
}

TEST(Gates, SettingsMoveAddAndRemove) {
  Comparison c = classifier();
  c.tensors[1].difference.cosine.mean = 0.9;
  c.labels->flips = 2;
  c.task[0].quantized = 0.68;
  EXPECT_THAT(failing(c), testing::IsEmpty());
  EXPECT_THAT(failing(c, {parse_gate("logits.cosine=0.95"), parse_gate("labels.flips=0.1"),
                          parse_gate("task.accuracy_drop=0.01")}),
              testing::ElementsAre("logits.cosine", "labels.flips", "task.accuracy_drop"));
  c.tensors[2].difference.mse = 1;
  EXPECT_THAT(failing(c), testing::ElementsAre("probabilities.mse"));
  EXPECT_THAT(failing(c, {parse_gate("probabilities.mse=2")}), testing::IsEmpty());
  EXPECT_THAT(failing(c, {parse_gate("probabilities.mse=off")}), testing::IsEmpty());
}

TEST(Gates, WhatIsNotMeasuredIsRefusedWithWhatIs) {
  const std::string text =
      test::error_text([] { failing(embedder(), {parse_gate("logits.cosine=0.9")}); }, ErrorCode::usage);
  EXPECT_THAT(text, testing::AllOf(HasSubstr("logits.cosine"), HasSubstr("pooled_vector.mse")));
}

TEST(Gates, MistypedSettingsAreRefused) {
  for (const char* text :
       {"", "cosine=0.9", "a.b", "a=b.c", "a.b=", "a.b=x", "a.b=0.9x", "a.b=nan", "a.b=inf"})
    EXPECT_THAT(test::error_text([&] { parse_gate(text); }, ErrorCode::usage),
                HasSubstr("TENSOR.METRIC=LIMIT"))
        << text;
  EXPECT_EQ(parse_gate("a.b=1e-3").limit, 1e-3);
}

TEST(Verdict, NamesWhatFailed) {
  Comparison c = embedder();
  c.tensors[1].difference.mse = 0.5;
  c.gates = apply_gates(c, {.cosine = 0.98}, {});
  EXPECT_FALSE(c.passed());
  EXPECT_THAT(c.verdict(), HasSubstr("failed 1 of 8 gates (pooled_vector.mse is 0.5, its limit 0.0001)"));
  c.tensors[1].difference.mse = 0;
  c.gates = apply_gates(c, {.cosine = 0.98}, {});
  EXPECT_TRUE(c.passed());
  EXPECT_THAT(c.verdict(), HasSubstr("passed all 8 gates"));
}

}  // namespace
}  // namespace mlxe::compare_gates_test
