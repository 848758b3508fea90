// The options of a vector and of a ranking, beside what sentence-transformers gives for the same folders and calls
// (tests/data/vectors, made by tools/make_vector_goldens.py).
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "golden.h"
#include "mlx_encoder/encoder.h"
#include "mlx_encoder/vector_precision.h"
#include "model_folders.h"

namespace mlxe::vector_options_test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

const fs::path kVectors = fs::path(MLXE_TEST_DATA) / "vectors";

const json& cases() {
  static const json all = read_json(kVectors / "cases.json");
  return all;
}

const SafetensorsFile& goldens() {
  static const SafetensorsFile file(kVectors / "vectors.safetensors");
  return file;
}

const TensorView& golden(const std::string& name) {
  const TensorView* view = goldens().find(name);
  if (view == nullptr) throw std::runtime_error("no golden " + name);
  return *view;
}

Matrix golden_matrix(const std::string& name) {
  const TensorView& view = golden(name);
  const std::vector<float> values = to_floats(view);
  return {view.shape.at(0), view.shape.at(1), {values.begin(), values.end()}};
}

Matrix matrix_of(const Vectors& v) {
  return {v.rows, v.columns, {v.values.begin(), v.values.end()}};
}

std::vector<std::string> texts() {
  return cases().at("texts").get<std::vector<std::string>>();
}

// The folder of a case: a tiny one with changed keys.
class VectorOptions : public ::testing::Test {
 protected:
  test::TemporaryFolder parent_;
  test::Heard heard_;
  int count_ = 0;

  fs::path folder_of(const json& c) {
    const fs::path folder = parent_ / std::to_string(count_++);
    fs::copy(test::tiny(c.at("folder").get<std::string>()), folder, fs::copy_options::recursive);
    for (const auto& [file, keys] : c.at("changes").items()) {
      json values = read_json(folder / file);
      values.update(keys);
      fs::permissions(folder / file, fs::perms::owner_write, fs::perm_options::add);
      test::write_file(folder / file, values.dump());
    }
    return folder;
  }
  Encoder load(const json& c) {
    heard_.sentences.clear();
    return Encoder::load(
        folder_of(c),
        {.engine = EngineKind::cpu, .activations = Activations::float32, .warning = heard_.warning()});
  }
  static const json& case_named(const char* list, const std::string& name) {
    for (const json& c : cases().at(list))
      if (c.at("name") == name) return c;
    throw std::runtime_error("no case " + name);
  }
};

EmbedOptions options_of(const json& c) {
  EmbedOptions options;
  const std::string method = c.at("method");
  if (method == "encode_query") options.task = EmbedTask::query;
  if (method == "encode_document") options.task = EmbedTask::document;
  const json& arguments = c.at("arguments");
  options.dimension = arguments.value("truncate_dim", 0);
  options.normalize = arguments.value("normalize_embeddings", false);
  return options;
}

TEST_F(VectorOptions, AreThoseOfSentenceTransformers) {
  for (const json& c : cases().at("embed")) {
    const std::string name = c.at("name");
    const test::Difference d =
        test::difference(name, matrix_of(load(c).embed(texts(), options_of(c))), golden_matrix(name));
    EXPECT_LE(d.relative, test::kParityTolerance) << name << ' ' << d.place;
  }
}

// The twin of the test above: of two calls that differ in a prompt, a dimension or the length, one is far from the
// other's golden.
TEST_F(VectorOptions, AWrongPromptOrLengthIsSeen) {
  for (const auto& [name, other] : {std::pair("encode.both", "encode_query.both"),
                                    {"encode_query.both", "encode_document.both"},
                                    {"encode.others_default", "encode_document.others_default"},
                                    {"dim.plain", "dim.plain_normalized"},
                                    {"dim.plain_normalized", "dim.own"}}) {
    const json& c = case_named("embed", name);
    const test::Difference d =
        test::difference(name, matrix_of(load(c).embed(texts(), options_of(c))), golden_matrix(other));
    EXPECT_GT(d.relative, 1000 * test::kParityTolerance) << name << " is " << other;
  }
}

TEST_F(VectorOptions, APipelineThatEndsWithNormalizeGivesUnitVectorsOfAnyDimension) {
  const Encoder encoder = load(case_named("embed", "dim.normalized"));
  const Vectors plain = encoder.embed(texts(), {.dimension = 7});
  EXPECT_EQ(plain.values, encoder.embed(texts(), {.dimension = 7, .normalize = true}).values);
  for (int64_t i = 0; i < plain.rows; ++i) {
    double sum = 0;
    for (const float v : plain.row(i)) sum += static_cast<double>(v) * v;
    EXPECT_NEAR(sum, 1, 1e-6) << "7 squares, each rounded to 6e-8";
  }
  EXPECT_EQ(encoder.embed(texts(), {.dimension = 32}).values, encoder.embed(texts()).values);
}

TEST_F(VectorOptions, AFoldersOwnDimensionIsItsDimension) {
  EXPECT_EQ(load(case_named("embed", "dim.own")).info().dimension, 9);
  const Encoder large = load(case_named("embed", "dim.own_too_large"));
  EXPECT_EQ(large.info().dimension, 32);
  EXPECT_THAT(heard_.sentences, ElementsAre(HasSubstr("\"truncate_dim\" is 900")));
}

TEST_F(VectorOptions, ADimensionThatIsNotThereIsAnError) {
  const Encoder encoder = load(case_named("embed", "normalize"));
  for (const int64_t dimension : {-1, 33})
    EXPECT_THAT(test::error_text([&] { encoder.embed(texts(), {.dimension = dimension}); }, ErrorCode::usage),
                HasSubstr("the model's vectors have 32 values; give 1 to 32"));
}

TEST_F(VectorOptions, ATaskSaysWhichPromptItLeavesOut) {
  const auto notes = [&](const char* name) {
    const json& c = case_named("embed", name);
    const Encoder encoder = load(c);
    CallReport report;
    EmbedOptions options = options_of(c);
    options.report = &report;
    encoder.embed(texts(), options);
    EXPECT_THAT(heard_.sentences, IsEmpty()) << "a call with a report has its notes there";
    return report.warnings;
  };
  EXPECT_THAT(notes("encode_query.both"), IsEmpty());
  EXPECT_THAT(notes("encode_query.both_default"), IsEmpty());
  EXPECT_THAT(notes("encode_query.none"), IsEmpty());
  EXPECT_THAT(notes("encode_document.others"), ElementsAre(HasSubstr("its prompt \"passage\" is used if")));
  EXPECT_THAT(notes("encode_query.other_default"), ElementsAre(HasSubstr("its prompt \"x\" is used if")));
}

TEST_F(VectorOptions, ATaskStandsForAPrompt) {
  const Encoder encoder = load(case_named("embed", "encode.both"));
  EXPECT_THAT(
      test::error_text([&] { encoder.embed(texts(), {.prompt_name = "query", .task = EmbedTask::query}); },
                       ErrorCode::usage),
      HasSubstr("the task query and the prompt name \"query\" were given"));
  EXPECT_THAT(test::error_text([&] { encoder.embed(texts(), {.prompt = "", .task = EmbedTask::document}); },
                               ErrorCode::usage),
              HasSubstr("the task document and a literal prompt were given"));
}

// ---- the precision

Vectors vectors_of(const std::string& name) {
  const TensorView& view = golden(name);
  return {view.shape.at(0), view.shape.at(1), to_floats(view)};
}

VectorRanges ranges_of(const std::string& name) {
  VectorRanges ranges;
  const TensorView* given = goldens().find(name + ".ranges");
  if (given == nullptr) {
    ranges.widen(vectors_of(name));
    return ranges;
  }
  ranges.in_float64 = given->dtype == Dtype::f64;
  const size_t size = size_of(given->dtype), columns = given->data.size() / size / 2;
  for (size_t i = 0; i < 2 * columns; ++i) {
    double value = 0;
    float single = 0;
    if (ranges.in_float64)
      std::memcpy(&value, given->data.data() + i * size, size);
    else
      std::memcpy(&single, given->data.data() + i * size, size);
    (i < columns ? ranges.lowest : ranges.highest).push_back(ranges.in_float64 ? value : single);
  }
  return ranges;
}

std::vector<std::byte> bytes_of(const TensorView& view) {
  return {view.data.begin(), view.data.end()};
}

TEST(VectorPrecision, GivesTheBytesOfQuantizeEmbeddings) {
  for (const std::string name : {"plain", "one", "edges", "grid", "given", "given64"})
    for (const VectorPrecision precision :
         {VectorPrecision::float16, VectorPrecision::int8, VectorPrecision::uint8, VectorPrecision::binary,
          VectorPrecision::ubinary}) {
      const std::string which = fmt::format("{}.{}", name, mlxe::name(precision));
      const TensorView& expected = golden(which);
      const PackedVectors packed = quantize(vectors_of(name), precision, ranges_of(name));
      EXPECT_EQ(packed.dtype, expected.dtype) << which;
      EXPECT_EQ((Shape{packed.rows, packed.columns}), expected.shape) << which;
      EXPECT_EQ(packed.values, bytes_of(expected)) << which;
      EXPECT_EQ(packed.columns, packed_columns(golden(name).shape[1], precision)) << which;
    }
}

// The bytes of ranges in float32 and in float64 differ, and so do those of ranges that are a little wider: the
// goldens tell them apart.
TEST(VectorPrecision, OtherRangesGiveOtherBytes) {
  const Vectors vectors = vectors_of("given64");
  VectorRanges ranges = ranges_of("given64");
  const auto right = bytes_of(golden("given64.uint8"));
  EXPECT_EQ(quantize(vectors, VectorPrecision::uint8, ranges).values, right);
  for (double& v : ranges.highest) v += 1e-3;
  EXPECT_NE(quantize(vectors, VectorPrecision::uint8, ranges).values, right);
}

TEST(VectorPrecision, RangesThatComeInPiecesAreThoseOfAll) {
  const Vectors all = vectors_of("plain");
  VectorRanges pieces;
  for (int64_t i = 0; i < all.rows; ++i) {
    const auto row = all.row(i);
    pieces.widen({1, all.columns, {row.begin(), row.end()}});
  }
  const VectorRanges whole = ranges_of("plain");
  EXPECT_EQ(pieces.lowest, whole.lowest);
  EXPECT_EQ(pieces.highest, whole.highest);
}

TEST(VectorPrecision, WhatDoesNotFitIsAnError) {
  const Vectors vectors = vectors_of("plain");
  VectorRanges narrow = ranges_of("plain");
  narrow.lowest.pop_back();
  EXPECT_THAT(test::error_text([&] { quantize(vectors, VectorPrecision::int8, narrow); }, ErrorCode::usage),
              HasSubstr("the ranges have 12 columns, the vectors 13 values"));
  EXPECT_THAT(test::error_text([&] { quantize(vectors, VectorPrecision::int8); }, ErrorCode::usage),
              HasSubstr("the ranges have 0 columns"));
  // The largest value that rounds to 65504, and the next one.
  EXPECT_THAT(quantize({1, 1, {65519.996f}}, VectorPrecision::float16).values, SizeIs(2));
  EXPECT_THAT(test::error_text(
                  [&] {
                    quantize({2, 2, {1, 2, 3, 65520.0f}}, VectorPrecision::float16, {}, 40);
                  },
                  ErrorCode::numeric),
              HasSubstr("text 42: value 1 of its vector is 65520, float16 ends at 65504"));
  EXPECT_THAT(test::error_text([] { parse_vector_precision("int4"); }, ErrorCode::usage),
              HasSubstr("expected float32, float16, int8, uint8, binary or ubinary"));
}

// ---- the ranking

// A logit has an error of kParityTolerance of the largest logit. No activation is steeper than 1.
TEST_F(VectorOptions, ARankingIsCrossEncodersRank) {
  const auto documents = cases().at("documents").get<std::vector<std::string>>();
  for (const json& c : cases().at("rank")) {
    const std::string name = c.at("name");
    const auto ranked = load(c).rerank(cases().at("query"), documents,
                                       {.top_k = c.value("top_k", size_t{0}), .raw = c.value("raw", false)});
    double largest = 0;
    for (const auto& r : load(c).rerank(cases().at("query"), documents, {.raw = true}))
      largest = std::max<double>(largest, std::abs(r.score));
    const json& expected = c.at("result");
    ASSERT_EQ(ranked.size(), expected.size()) << name;
    for (size_t i = 0; i < ranked.size(); ++i) {
      EXPECT_EQ(ranked[i].index, expected[i][0].get<size_t>()) << name << ' ' << i;
      EXPECT_NEAR(ranked[i].score, expected[i][1].get<double>(), test::kParityTolerance * largest)
          << name << ' ' << i;
    }
  }
}

TEST_F(VectorOptions, TheRawScoreIsTheLogit) {
  const json& c = case_named("rank", "sigmoid");
  const Encoder encoder = load(c);
  const std::vector<std::string> documents{"the cat", "a dog was home"};
  const std::vector<TextInput> pairs{{"the road", documents[0]}, {"the road", documents[1]}};
  const std::vector<float> raw = encoder.relevance(pairs, {.raw = true}), scores = encoder.relevance(pairs);
  const std::vector<Prediction> predictions = encoder.classify(pairs);
  for (size_t i = 0; i < pairs.size(); ++i) {
    EXPECT_EQ(raw[i], predictions[i].logits.at(0));
    EXPECT_EQ(scores[i], predictions[i].scores.at(0)) << "both are a sigmoid";
  }
  EXPECT_THAT(encoder.rerank("the road", {}), IsEmpty());
}

TEST_F(VectorOptions, AModelOfSeveralLabelsOrOfNoneIsNoReranker) {
  const auto refusal = [&](const char* model) {
    const Encoder encoder = Encoder::load(test::tiny(model), {.engine = EngineKind::cpu});
    const std::vector<std::string> documents{"a"};
    return test::error_text([&] { encoder.rerank("q", documents); }, ErrorCode::unsupported);
  };
  EXPECT_THAT(refusal("roberta_cls"),
              HasSubstr("has 3 labels (calm, windy, stormy); a reranker has one; use classify"));
  EXPECT_THAT(refusal("st_mean_norm"), HasSubstr("the model has no classification head"));
}

}  // namespace
}  // namespace mlxe::vector_options_test
