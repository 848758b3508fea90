// Task metrics against scipy, scikit-learn, seqeval, ranx and statsmodels (tools/make_metric_goldens.py).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "metrics/class_scores.h"
#include "metrics/correlation.h"
#include "metrics/ranking.h"
#include "metrics/resampling.h"
#include "metrics/span_scores.h"
#include "test_files.h"

namespace mlxe::task_metrics_test {
namespace {

using nlohmann::json;
using testing::DoubleNear;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;
using testing::Pointwise;

// Both sides sum a few hundred float64 values of at most 10, in different orders: 300 * 10 * 2^-53 < 1e-12.
constexpr double kTolerance = 1e-9;

const json& golden() {
  static const json g = json::parse(test::read_file(MLXE_TEST_DATA "/metrics/tasks.json"));
  return g;
}

auto near(const json& values) {
  return Pointwise(DoubleNear(kTolerance), values.get<std::vector<double>>());
}

std::vector<double> figures(const ClassScores& s) {
  return {s.accuracy, s.macro_f1, s.weighted_f1, s.matthews};
}

// ---- correlation

TEST(Correlation, AConstantSideHasNone) {
  const std::vector<double> constant(7, 0.1), rising{1, 2, 3, 4, 5, 6, 7};
  EXPECT_TRUE(std::isnan(pearson(constant, rising)));
  EXPECT_TRUE(std::isnan(spearman(rising, constant)));
}

TEST(Correlation, CountsAreAsGoodAsCopies) {
  const std::vector<double> x{1, 2, 2, 5, 3}, y{2, 1, 4, 4, 9};
  const std::vector<uint32_t> counts{2, 0, 3, 1, 1};
  std::vector<double> xs, ys;
  for (size_t i = 0; i < x.size(); ++i) {
    xs.insert(xs.end(), counts[i], x[i]);
    ys.insert(ys.end(), counts[i], y[i]);
  }
  const Correlation c(x, y);
  EXPECT_NEAR(c.pearson(counts), pearson(xs, ys), kTolerance);
  EXPECT_NEAR(c.spearman(counts), spearman(xs, ys), kTolerance);
  const std::vector<uint32_t> one_value{0, 1, 1, 0, 0};
  EXPECT_TRUE(std::isnan(c.pearson(one_value))) << "items that were not drawn don't count";
  test::error_text([&] { Correlation({1, 2}, {1}); }, ErrorCode::internal);
}

// ---- classes

TEST(ClassScores, AgreeWithScikitLearn) {
  for (const json& c : golden()["classes"])
    EXPECT_THAT(figures(class_scores(c["gold"].get<std::vector<int64_t>>(),
                                     c["predicted"].get<std::vector<int64_t>>())),
                near(c["figures"]));
}

TEST(ClassScores, TwinOneWrongAnswerIsSeenInEveryFigure) {
  const json& c = golden()["classes"][0];
  const std::vector<int64_t> gold = c["gold"];
  std::vector<int64_t> predicted = c["predicted"];
  predicted[0] = (predicted[0] + 1) % 3;
  const std::vector<double> found = figures(class_scores(gold, predicted));
  for (size_t i = 0; i < found.size(); ++i)
    EXPECT_GT(std::fabs(found[i] - c["figures"][i].get<double>()), kTolerance) << i;
}

TEST(ClassScores, CountsAreAsGoodAsCopies) {
  const ClassComparison c({0, 1, 2, 1}, {0, 2, 2, 0}, 4);
  EXPECT_THAT(
      figures(c.scores(std::vector<uint32_t>{3, 0, 1, 2})),
      Pointwise(DoubleNear(kTolerance), figures(class_scores(std::vector<int64_t>{0, 0, 0, 2, 1, 1},
                                                             std::vector<int64_t>{0, 0, 0, 2, 0, 0}))));
  const auto counts = c.count(once(4));
  EXPECT_EQ(counts[0].predicted, 2);
  EXPECT_EQ(counts[0].precision(), 0.5);
  EXPECT_EQ(counts[0].recall(), 1.0);
  EXPECT_EQ(counts[3].f1(), 0.0);
  EXPECT_EQ(counts[3].precision(), 0.0) << "a class that never occurs";
  test::error_text([] { ClassComparison({0}, {4}, 4); }, ErrorCode::internal);
  test::error_text([] { ClassComparison({}, {}, 4); }, ErrorCode::internal);
}

// ---- spans

Tagging tagging(const std::string& scheme) {
  return scheme == "lenient" ? Tagging::lenient
         : scheme == "IOB1"  ? Tagging::iob1
         : scheme == "IOB2"  ? Tagging::iob2
                             : Tagging::bioes;
}

std::vector<double> figures(const SpanScores& s) {
  return {s.precision, s.recall, s.f1};
}

TEST(SpanScores, AgreeWithSeqeval) {
  for (const json& c : golden()["spans"]) {
    SCOPED_TRACE(c["scheme"].get<std::string>());
    const SpanComparison::Sentences gold = c["gold"], predicted = c["predicted"];
    const SpanComparison spans(gold, predicted, tagging(c["scheme"]));
    const auto counts = once(gold.size());
    EXPECT_THAT(figures(spans.micro(counts)), near(c["micro"]));
    EXPECT_THAT(figures(spans.macro(counts)), near(c["macro"]));
    EXPECT_THAT(figures(spans.weighted(counts)), near(c["weighted"]));
    size_t i = 0;
    for (const auto& [type, count] : spans.count(counts)) {
      std::vector<double> found = figures(count.scores());
      found.push_back(static_cast<double>(count.gold));
      EXPECT_THAT(found, near(c["types"].at(i++))) << type;
    }
    EXPECT_EQ(i, c["types"].size());
  }
}

// Removes the first correct predicted span.
void lose_one(const SpanComparison::Sentences& gold, SpanComparison::Sentences& predicted, Tagging scheme) {
  for (size_t i = 0; i < gold.size(); ++i) {
    const std::vector<TagSpan> right = tag_spans(gold[i], scheme);
    for (const TagSpan& s : tag_spans(predicted[i], scheme))
      if (std::ranges::find(right, s) != right.end()) {
        std::fill(predicted[i].begin() + s.first, predicted[i].begin() + s.end, "O");
        return;
      }
  }
  FAIL() << "no span is right";
}

TEST(SpanScores, TwinOneLostSpanIsSeenInEveryFigure) {
  for (const json& c : golden()["spans"]) {
    const SpanComparison::Sentences gold = c["gold"];
    SpanComparison::Sentences predicted = c["predicted"];
    lose_one(gold, predicted, tagging(c["scheme"]));
    const SpanComparison spans(gold, predicted, tagging(c["scheme"]));
    const auto counts = once(gold.size());
    EXPECT_THAT(figures(spans.micro(counts)), Not(near(c["micro"]))) << c["scheme"];
    EXPECT_THAT(figures(spans.macro(counts)), Not(near(c["macro"]))) << c["scheme"];
    EXPECT_THAT(figures(spans.weighted(counts)), Not(near(c["weighted"]))) << c["scheme"];
  }
}

TEST(SpanScores, SchemesReadTheSameTagsDifferently) {
  const std::vector<std::string> tags{"I-x", "I-x", "B-x", "I-y", "O", "S-x"};
  EXPECT_THAT(tag_spans(tags, Tagging::lenient),
              ElementsAre(TagSpan{"x", 0, 2}, TagSpan{"x", 2, 3}, TagSpan{"y", 3, 4}, TagSpan{"x", 5, 6}));
  const auto first_five = std::span(tags).first(5);
  EXPECT_THAT(tag_spans(first_five, Tagging::iob2), ElementsAre(TagSpan{"x", 2, 3}));
  EXPECT_THAT(tag_spans(first_five, Tagging::iob1),
              ElementsAre(TagSpan{"x", 0, 2}, TagSpan{"x", 2, 3}, TagSpan{"y", 3, 4}));
  EXPECT_THAT(tag_spans(tags, Tagging::bioes), ElementsAre(TagSpan{"x", 5, 6}));
  EXPECT_THAT(test::error_text([&] { tag_spans(tags, Tagging::iob2); }, ErrorCode::format),
              testing::HasSubstr("the tag \"S-x\": IOB2 has tags of IOB only"));
  EXPECT_THAT(tag_spans({}, Tagging::lenient), IsEmpty());
}

// As `tag` reads them. In BILOU, U and L end a span as S and E do in BIOES.
TEST(SpanScores, BilouIsBioesByOtherLetters) {
  const std::vector<std::string> bilou{"U-x", "U-x", "B-x", "I-x", "L-x", "L-x", "B-y", "O", "U-y"};
  std::vector<std::string> bioes = bilou;
  for (std::string& tag : bioes) tag[0] = tag[0] == 'U' ? 'S' : tag[0] == 'L' ? 'E' : tag[0];
  EXPECT_EQ(tag_spans(bilou, Tagging::lenient), tag_spans(bioes, Tagging::lenient));
  EXPECT_EQ(tag_spans(bilou, Tagging::bilou), tag_spans(bioes, Tagging::bioes));
  EXPECT_THAT(tag_spans(bilou, Tagging::bilou),
              ElementsAre(TagSpan{"x", 0, 1}, TagSpan{"x", 1, 2}, TagSpan{"x", 2, 5}, TagSpan{"y", 8, 9}));
  for (const auto& [tag, tagging] : {std::pair("S-x", Tagging::bilou), {"U-x", Tagging::bioes}})
    test::error_text([&, t = tagging, one = std::vector<std::string>{tag}] { tag_spans(one, t); },
                     ErrorCode::format);
  EXPECT_EQ(parse_tagging("BILOU"), Tagging::bilou);
}

TEST(SpanScores, ATypeWithoutAPrefixIsAType) {
  const std::vector<std::string> tags{"ORG", "ORG", "PER", "O", "OTHER", "O-TYPE", "X-ray", "B"};
  EXPECT_THAT(tag_spans(std::span(tags).first(7), Tagging::lenient),
              ElementsAre(TagSpan{"ORG", 0, 2}, TagSpan{"PER", 2, 3}, TagSpan{"OTHER", 4, 5},
                          TagSpan{"O-TYPE", 5, 6}, TagSpan{"X-ray", 6, 7}));
  EXPECT_THAT(tag_spans(std::span(tags).subspan(7), Tagging::lenient), ElementsAre(TagSpan{"_", 0, 1}));
  EXPECT_THAT(test::error_text([&] { tag_spans(tags, Tagging::iob2); }, ErrorCode::format),
              testing::HasSubstr("the tag \"ORG\": IOB2 has tags of IOB only"));
}

TEST(SpanScores, CountsAreAsGoodAsCopiesAndNothingFoundIsZero) {
  const SpanComparison::Sentences gold{{"B-a", "I-a"}, {"B-b"}, {"O"}},
      predicted{{"B-a", "I-a"}, {"O"}, {"B-b"}};
  const SpanComparison spans(gold, predicted, Tagging::lenient);
  const SpanScores s = spans.micro(std::vector<uint32_t>{2, 1, 0});
  EXPECT_EQ(s.precision, 1.0);
  EXPECT_NEAR(s.recall, 2.0 / 3, kTolerance);
  const SpanScores none = spans.micro(std::vector<uint32_t>{0, 1, 0});
  EXPECT_EQ(none.f1, 0.0);
  EXPECT_EQ(spans.macro(std::vector<uint32_t>{0, 0, 0}).f1, 0.0);
  test::error_text([&] { SpanComparison(gold, {{"O"}}, Tagging::lenient); }, ErrorCode::internal);
}

// ---- rankings

double ranking_figure(const std::string& metric, const RankedQuery& q) {
  if (metric == "mrr") return reciprocal_rank(q);
  if (metric == "map") return average_precision(q);
  const size_t at = metric.find('@');
  const int64_t k = std::stoll(metric.substr(at + 1));
  return metric.substr(0, at) == "ndcg" ? ndcg_at(q, k) : recall_at(q, k);
}

TEST(Ranking, AgreesWithRanx) {
  const json& c = golden()["ranking"];
  for (size_t q = 0; q < c["scores"].size(); ++q) {
    const RankedQuery query = rank_relevant(c["scores"][q].get<std::vector<double>>(),
                                            c["relevances"][q].get<std::vector<double>>());
    for (size_t m = 0; m < c["metrics"].size(); ++m)
      EXPECT_NEAR(ranking_figure(c["metrics"][m], query), c["figures"][m][q].get<double>(), kTolerance)
          << c["metrics"][m] << " of query " << q;
  }
}

TEST(Ranking, TwinADocumentMovedToTheEndIsSeen) {
  const json& c = golden()["ranking"];
  std::vector<double> scores = c["scores"][0];
  scores[0] = -2;  // the only relevant one
  const RankedQuery query = rank_relevant(scores, c["relevances"][0].get<std::vector<double>>());
  ASSERT_EQ(query.size(), 1u);
  for (size_t m : {0, 1})
    EXPECT_GT(std::fabs(ranking_figure(c["metrics"][m], query) - c["figures"][m][0].get<double>()),
              kTolerance);
  EXPECT_EQ(ndcg_at(query, 10), 0.0);
}

TEST(Ranking, EqualScoresCountAgainstTheModel) {
  const std::vector<double> alike(4, 0.5), relevances{2, 1, 0, 0};
  const RankedQuery query = rank_relevant(alike, relevances);
  EXPECT_EQ(reciprocal_rank(query), 1.0 / 3);
  EXPECT_EQ(query[1].rank, 4);
  EXPECT_EQ(query[1].relevance, 2.0);
}

TEST(Ranking, WithoutARelevantDocumentEverythingIsZero) {
  const RankedQuery none = rank_relevant(std::vector<double>{1, 2}, std::vector<double>{0, 0});
  for (const char* metric : {"mrr", "map", "ndcg@10", "recall@10"})
    EXPECT_EQ(ranking_figure(metric, none), 0.0);
}

// ---- intervals and tests

Metrics metrics(const json& c, const char* side) {
  if (c["kind"] == "classes") {
    const ClassComparison classes(c["gold"], c[side], 3);
    return [classes](Counts counts) { return figures(classes.scores(counts)); };
  }
  const Correlation correlation(c["gold"], c[side]);
  return [correlation](Counts counts) {
    return std::vector{correlation.pearson(counts), correlation.spearman(counts)};
  };
}

std::vector<std::optional<Interval>> bootstrap(const json& c, uint64_t seed) {
  return paired_bootstrap(c["gold"].size(), metrics(c, "first"), metrics(c, "second"),
                          {.resamples = c["resamples"], .confidence = c["confidence"], .seed = seed});
}

TEST(Bootstrap, AgreesWithNumpyOverScikitLearnAndScipyOnTheSameDraws) {
  for (const json& c : golden()["bootstrap"]) {
    const auto intervals = bootstrap(c, c["seed"]);
    ASSERT_EQ(intervals.size(), c["intervals"].size());
    for (size_t m = 0; m < intervals.size(); ++m) {
      ASSERT_TRUE(intervals[m]);
      EXPECT_NEAR(intervals[m]->low, c["intervals"][m][0].get<double>(), kTolerance);
      EXPECT_NEAR(intervals[m]->high, c["intervals"][m][1].get<double>(), kTolerance);
    }
  }
}

TEST(Bootstrap, TwinOtherDrawsOrSidesSwappedAreSeen) {
  json c = golden()["bootstrap"][1];
  EXPECT_GT(std::fabs(bootstrap(c, 8)[0]->low - c["intervals"][0][0].get<double>()), kTolerance);
  std::swap(c["first"], c["second"]);
  EXPECT_NEAR(bootstrap(c, c["seed"])[0]->low, -c["intervals"][0][1].get<double>(), kTolerance);
}

TEST(Bootstrap, ASideWithItselfDiffersByNothing) {
  json c = golden()["bootstrap"][1];
  c["second"] = c["first"];
  for (const auto& interval : bootstrap(c, 1)) {
    EXPECT_EQ(interval->low, 0.0);
    EXPECT_EQ(interval->high, 0.0);
  }
}

TEST(Bootstrap, WhereNoResampleHasTheMetricThereIsNoInterval) {
  const Metrics nan = [](Counts) { return std::vector{std::numeric_limits<double>::quiet_NaN()}; };
  EXPECT_FALSE(paired_bootstrap(3, nan, nan, {.resamples = 5}).at(0));
  test::error_text([&] { paired_bootstrap(0, nan, nan, {}); }, ErrorCode::internal);
  test::error_text([&] { paired_bootstrap(3, nan, nan, {.resamples = 0}); }, ErrorCode::usage);
  test::error_text([&] { paired_bootstrap(3, nan, nan, {.confidence = 1}); }, ErrorCode::usage);
}

TEST(McNemarTest, AgreesWithStatsmodels) {
  for (const json& c : golden()["mcnemar"]) {
    const McNemar m = mcnemar(c["only_first"], c["only_second"]);
    EXPECT_NEAR(m.p, c["p"].get<double>(), kTolerance) << c;
    EXPECT_EQ(m.exact, c["exact"]);
  }
  EXPECT_EQ(mcnemar(0, 0).p, 1.0);
}

TEST(McNemarTest, TwinOneItemMoreIsSeen) {
  for (const json& c : golden()["mcnemar"]) {
    const int64_t first = c["only_first"], second = c["only_second"];
    if (first == second) continue;  // p is 1 or near it on both sides of equality
    EXPECT_GT(std::fabs(mcnemar(first + 1, second).p - c["p"].get<double>()), kTolerance) << c;
  }
}

}  // namespace
}  // namespace mlxe::task_metrics_test
