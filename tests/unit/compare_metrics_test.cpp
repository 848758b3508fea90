// Every figure of a comparison against numpy, scipy and scikit-learn (tools/make_metric_goldens.py).
#include "compare/output_meter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "metrics/class_scores.h"
#include "metrics/correlation.h"
#include "metrics/difference_meter.h"
#include "metrics/label_metrics.h"
#include "test_files.h"

namespace mlxe::compare_metrics_test {
namespace {

using nlohmann::json;

// Both sides sum a few hundred float64 values of at most 10, in different orders: 300 * 10 * 2^-53 < 1e-12.
constexpr double kTolerance = 1e-9;

const json& golden() {
  static const json g = json::parse(test::read_file(MLXE_TEST_DATA "/metrics/golden.json"));
  return g;
}

std::vector<float> floats(const json& values) {
  std::vector<float> out;
  for (const json& v : values) out.push_back(static_cast<float>(v.get<double>()));
  return out;
}

Difference measured(const json& c, std::vector<float> a, std::vector<float> b, size_t rows_a_piece) {
  const size_t columns = c["columns"];
  DifferenceMeter meter(c["rows"], static_cast<int64_t>(columns));
  const size_t piece = rows_a_piece * columns;
  for (size_t at = 0; at < a.size(); at += piece) {
    const size_t n = std::min(piece, a.size() - at);
    meter.add(std::span(a).subspan(at, n), std::span(b).subspan(at, n), static_cast<int64_t>(at / piece));
  }
  return meter.result();
}

TEST(Difference, AgreesWithNumpyInPiecesOfAnySize) {
  for (const json& c : golden()["difference"])
    for (size_t rows : {1, 7, 1000}) {
      const Difference d = measured(c, floats(c["original"]), floats(c["quantized"]), rows);
      SCOPED_TRACE(std::to_string(d.rows) + " rows, " + std::to_string(rows) + " a piece");
      EXPECT_NEAR(d.cosine.mean, c["cosine"]["mean"], kTolerance);
      EXPECT_NEAR(d.cosine.p1, c["cosine"]["p1"], kTolerance);
      EXPECT_NEAR(d.cosine.min, c["cosine"]["min"], kTolerance);
      EXPECT_EQ(d.cosine.worst, c["cosine"]["worst"].get<int64_t>() / static_cast<int64_t>(rows));
      EXPECT_NEAR(d.mse, c["mse"], kTolerance);
      EXPECT_NEAR(d.max_abs, c["max_abs"], kTolerance);
      EXPECT_NEAR(d.relative_max, c["relative_max"], kTolerance);
    }
}

TEST(Difference, TwinOneValueOffByAThousandthIsSeenInEveryFigure) {
  const json& c = golden()["difference"][3];
  std::vector<float> b = floats(c["quantized"]);
  b[4 * c["cosine"]["worst"].get<size_t>()] += 1e-3f;
  const Difference d = measured(c, floats(c["original"]), b, 7);
  EXPECT_GT(std::fabs(d.cosine.mean - c["cosine"]["mean"].get<double>()), kTolerance);
  EXPECT_GT(std::fabs(d.cosine.min - c["cosine"]["min"].get<double>()), kTolerance);
  EXPECT_GT(std::fabs(d.mse - c["mse"].get<double>()), kTolerance);
}

TEST(Difference, EqualRowsGiveExactlyOneAndZero) {
  std::vector<float> a;
  for (int i = 0; i < 3000; ++i) a.push_back(std::sin(static_cast<float>(i)) * 1e3f);
  DifferenceMeter meter(1000, 3);
  meter.add(a, a, 0);
  const Difference d = meter.result();
  EXPECT_EQ(d.cosine.min, 1.0);
  EXPECT_EQ(d.cosine.p1, 1.0);
  EXPECT_EQ(d.cosine.mean, 1.0);
  EXPECT_EQ(d.max_abs, 0.0);
  EXPECT_EQ(d.relative_max, 0.0);
}

TEST(Difference, RowsOfZeros) {
  const std::vector<float> zero(3), one{0, 1, 0};
  EXPECT_EQ(row_cosine(zero, zero), 1.0);
  EXPECT_EQ(row_cosine(zero, one), 0.0);
  EXPECT_EQ(row_cosine(one, zero), 0.0);
}

TEST(Difference, ExtremeValuesNeitherOverflowNorVanish) {
  const std::vector<float> huge{3e38f, -3e38f}, tiny{1e-38f, -1e-38f};
  EXPECT_EQ(row_cosine(huge, huge), 1.0);
  EXPECT_NEAR(row_cosine(huge, tiny), 1.0, 1e-6);  // float32 spacing of the two literals
}

TEST(Difference, RefusesWhatWasNotAnnounced) {
  EXPECT_THAT(test::error_text([] { LowTail(0); }, ErrorCode::usage), testing::HasSubstr("no rows"));
  LowTail tail(1);
  tail.add(1, 0);
  test::error_text([&] { tail.add(1, 0); }, ErrorCode::internal);
  LowTail half(2);
  half.add(1, 0);
  test::error_text([&] { half.p1(); }, ErrorCode::internal);
  DifferenceMeter meter(2, 2);
  const std::vector<float> two(2), three(3);
  test::error_text([&] { meter.add(two, three, 0); }, ErrorCode::internal);
}

// An empty text has no token if the tokenizer adds no special tokens.
TEST(Labels, OfTokensTakeATextWithoutAny) {
  OutputTask task{.classifier = true, .by_token = true, .labels = {"O", "B"}};
  task.sequences = 2;
  task.tokens = 3;
  task.hidden_size = 1;
  OutputMeter meter(task);
  meter.begin_window(0, 2);
  EXPECT_EQ(meter.add(0, {.text = 0}, {}, {}), 1.0);
  const std::vector<float> hidden{1, 1, 1}, a{2, 0, 0, 2, 2, 0}, b{2, 0, 2, 0, 2, 0};
  const Sequence three{.text = 1, .ids = {5, 6, 7}};
  EXPECT_LT(meter.add(1, three, {hidden, hidden}, {a, b}), 1.0);
  meter.end_window(std::vector<Sequence>{{.text = 0}, three});
  const auto labels = meter.labels();
  ASSERT_TRUE(labels.has_value());
  EXPECT_EQ(labels->texts, 3);
  EXPECT_EQ(labels->flips, 1);
  EXPECT_EQ(labels->listed.at(0).token, 1);
}

TEST(Labels, AgreeWithScipy) {
  for (const json& c : golden()["labels"]) {
    const auto problem = c["problem"] == "multi_label" ? ProblemType::multi_label : ProblemType::single_label;
    const size_t outputs = c["outputs"];
    SCOPED_TRACE(c["problem"].get<std::string>() + " " + std::to_string(outputs));
    const std::vector<float> a = floats(c["original"]), b = floats(c["quantized"]);
    std::vector<std::string> names;
    for (size_t i = 0; i < outputs; ++i) names.push_back("label " + std::to_string(i));
    LabelMeter meter(problem, names, 1000);
    std::vector<double> p;
    for (int64_t text = 0; text < c["texts"]; ++text) {
      const auto row = std::span(a).subspan(text * outputs, outputs);
      meter.add({.text = text}, row, std::span(b).subspan(text * outputs, outputs));
      for (double x : probabilities(problem, row)) p.push_back(x);
    }
    const LabelDifference d = meter.result();
    EXPECT_THAT(p, testing::Pointwise(testing::DoubleNear(kTolerance),
                                      c["probabilities"].get<std::vector<double>>()));
    EXPECT_NEAR(d.kl, c["kl"], kTolerance);
    EXPECT_NEAR(d.margin_original, c["margin_original"], kTolerance);
    EXPECT_NEAR(d.margin_flipped, c["margin_flipped"], kTolerance);
    std::vector<int64_t> flips;
    for (const Flip& f : d.listed) flips.push_back(f.text);
    EXPECT_EQ(d.flips, static_cast<int64_t>(flips.size()));
    EXPECT_THAT(flips, testing::UnorderedElementsAreArray(c["flips"].get<std::vector<int64_t>>()));
  }
}

TEST(Labels, TheFlipsKeptAreThoseOfTheLargestMargin) {
  LabelMeter meter(ProblemType::single_label, {"no", "yes"}, 2);
  const std::vector<float> to_yes{0, 5};
  for (int64_t i = 0; i < 5; ++i) {
    const std::vector<float> from_no{static_cast<float>(i), 0};
    meter.add({.text = i}, from_no, to_yes);
  }
  const LabelDifference d = meter.result();
  EXPECT_EQ(d.flips, 5);
  ASSERT_EQ(d.listed.size(), 2u);
  EXPECT_EQ(d.listed[0].text, 4);
  EXPECT_EQ(d.listed[1].text, 3);
  EXPECT_EQ(d.listed[0].original, "no");
  EXPECT_EQ(d.listed[0].quantized, "yes");
}

TEST(Labels, LogitsFarApartStayFinite) {
  LabelMeter meter(ProblemType::single_label, {"a", "b"}, 1);
  const std::vector<float> a{1000, -1000}, b{-1000, 1000};
  meter.add({}, a, b);
  EXPECT_NEAR(meter.result().kl, 2000, kTolerance);  // log(1) - log(e^-2000)
  EXPECT_TRUE(probabilities(ProblemType::regression, a).empty());
}

TEST(Labels, SeveralLabelsAtOnceAreSpelledOut) {
  LabelMeter meter(ProblemType::multi_label, {"red", "green", "blue"}, 1);
  const std::vector<float> a{1, -1, 1}, b{-1, -1, -1};
  meter.add({}, a, b);
  const LabelDifference d = meter.result();
  EXPECT_EQ(d.listed.at(0).original, "red, blue");
  EXPECT_EQ(d.listed.at(0).quantized, "(none)");
}

TEST(TaskScores, AgreeWithScikitLearnAndScipy) {
  for (const json& c : golden()["classes"]) {
    const std::vector<int64_t> gold = c["gold"], predicted = c["predicted"];
    const ClassScores scores = class_scores(gold, predicted);
    EXPECT_NEAR(scores.accuracy, c["accuracy"], kTolerance);
    EXPECT_NEAR(scores.macro_f1, c["macro_f1"], kTolerance);
  }
  for (const json& c : golden()["correlation"]) {
    const std::vector<double> x = c["x"], y = c["y"];
    EXPECT_NEAR(pearson(x, y), c["pearson"], kTolerance);
    EXPECT_NEAR(spearman(x, y), c["spearman"], kTolerance);
  }
}

TEST(TaskScores, TwinOneWrongAnswerOrOneSwappedRankIsSeen) {
  const json& c = golden()["classes"][0];
  std::vector<int64_t> gold = c["gold"], predicted = c["predicted"];
  predicted[0] = 7;
  const ClassScores scores = class_scores(gold, predicted);
  EXPECT_GT(std::fabs(scores.accuracy - c["accuracy"].get<double>()), kTolerance);
  EXPECT_GT(std::fabs(scores.macro_f1 - c["macro_f1"].get<double>()), kTolerance);
  const json& r = golden()["correlation"][0];
  std::vector<double> x = r["x"], y = r["y"];
  std::swap(y[0], y[1]);
  EXPECT_GT(std::fabs(spearman(x, y) - r["spearman"].get<double>()), kTolerance);
}

}  // namespace
}  // namespace mlxe::compare_metrics_test
