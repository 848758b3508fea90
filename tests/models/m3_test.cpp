// bge-m3: the vectors of texts, terms and tokens as FlagEmbedding computes them, of one run, and what is said of damaged
// folders.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "golden.h"
#include "mlx_encoder/convert.h"
#include "mlx_encoder/encoder.h"
#include "mlx_encoder/inspect.h"
#include "mlx_encoder/verify.h"
#include "model_folders.h"

namespace mlxe::m3_test {
namespace {

using nlohmann::json;
using test::error_text;
using test::kParityTolerance;
using test::tiny;
using ::testing::Contains;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;
using ::testing::IsSupersetOf;
using ::testing::Not;

constexpr const char* kSparse = "sparse_linear.pt";
constexpr const char* kColbert = "colbert_linear.pt";

std::vector<std::string> texts() {
  return read_json(tiny("bge_m3") / "m3.json").get<std::vector<std::string>>();
}

Encoder load(const std::filesystem::path& folder, EngineKind engine = EngineKind::cpu,
             const Warning& warning = {}) {
  EncoderOptions options;
  options.engine = engine;
  options.activations = Activations::float32;
  options.warning = warning;
  return Encoder::load(folder, options);
}

std::vector<int32_t> integers(const char* name) {
  const SafetensorsFile file(tiny("bge_m3") / "golden.safetensors");
  const TensorView& view = *file.find(name);
  std::vector<int32_t> values(view.data.size() / sizeof(int32_t));
  std::memcpy(values.data(), view.data.data(), view.data.size());
  return values;
}

Matrix matrix(const Vectors& v) {
  return {v.rows, v.columns, {v.values.begin(), v.values.end()}};
}
Matrix matrix(const TokenVectors& v) {
  return {std::ssize(v.ids), v.columns, {v.values.begin(), v.values.end()}};
}
Matrix column(const SparseVectors& v) {
  return {std::ssize(v.values), 1, {v.values.begin(), v.values.end()}};
}

void expect_near(const char* what, const Matrix& found, const Matrix& expected) {
  const test::Difference d = test::difference(what, found, expected);
  EXPECT_LE(d.relative, kParityTolerance) << d.what << ": " << d.place;
}

void expect_far(const char* what, const Matrix& found, const Matrix& expected) {
  EXPECT_GT(test::difference(what, found, expected).relative, 100 * kParityTolerance) << what;
}

void expect_same(const AllVectors& a, const AllVectors& b) {
  EXPECT_EQ(a.dense.values, b.dense.values);
  EXPECT_EQ(a.sparse.indices, b.sparse.indices);
  EXPECT_EQ(a.sparse.values, b.sparse.values);
  EXPECT_EQ(a.tokens.ids, b.tokens.ids);
  EXPECT_EQ(a.tokens.values, b.tokens.values);
}

class M3 : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    std::string why_not;
    if (!test::make_engine(GetParam(), why_not)) GTEST_SKIP() << why_not;
    encoder_.emplace(load(tiny("bge_m3"), parse_engine(GetParam())));
  }
  std::optional<Encoder> encoder_;
  test::Golden golden_{tiny("bge_m3")};
};
INSTANTIATE_TEST_SUITE_P(, M3, ::testing::Values("cpu", "mlx"));

TEST_P(M3, VectorsAreThoseOfFlagEmbedding) {
  const AllVectors all = encoder_->embed_all(texts());
  expect_near("dense", matrix(all.dense), golden_.matrix("texts.sentence"));

  const std::vector<int32_t> offsets = integers("lexical.offsets");
  EXPECT_THAT(all.sparse.offsets, ElementsAreArray(offsets));
  EXPECT_EQ(all.sparse.indices, integers("lexical.ids"));
  EXPECT_EQ(all.sparse.columns, encoder_->info().vocab_size);
  expect_near("lexical weights", column(all.sparse), golden_.matrix("lexical.weights"));

  const Batch batch = golden_.batch("texts.");
  const Matrix every = golden_.matrix("texts.token_vectors");
  Matrix expected{0, every.columns, {}};
  std::vector<int32_t> ids;
  for (int64_t b = 0; b < batch.texts(); ++b)
    for (int32_t t = batch.offsets[static_cast<size_t>(b)] + 1; t < batch.offsets[static_cast<size_t>(b) + 1];
         ++t, ++expected.rows) {
      ids.push_back(batch.ids[static_cast<size_t>(t)]);
      expected.values.insert(expected.values.end(), every.values.begin() + t * every.columns,
                             every.values.begin() + (t + 1) * every.columns);
    }
  EXPECT_EQ(all.tokens.ids, ids);
  expect_near("token vectors", matrix(all.tokens), expected);
}

// A lexical score is a sum of at most 40 products of two weights, each off by the tolerance times the largest weight. A
// score of vectors is a mean of products of vectors of length 1; each of the 24 values is off by at most the tolerance,
// a vector by 5 times that, and a product by the errors of both.
TEST_P(M3, ScoresAreThoseOfFlagEmbedding) {
  const std::vector<int32_t> queries = integers("queries"), documents = integers("documents");
  const std::vector<std::string> all = texts();
  const Matrix lexical = golden_.matrix("scores.lexical"), vectors = golden_.matrix("scores.vectors");
  const SparseVectors sparse = encoder_->embed_sparse(all);
  const float largest = std::ranges::max(sparse.values);
  std::vector<TextInput> pairs;
  for (const int32_t q : queries)
    for (const int32_t d : documents)
      pairs.push_back({all[static_cast<size_t>(q)], all[static_cast<size_t>(d)]});
  const std::vector<float> scores = encoder_->relevance(pairs);
  const TokenVectors tokens = encoder_->embed_tokens(all);
  for (size_t i = 0; i < scores.size(); ++i) {
    const int32_t q = queries[i / documents.size()], d = documents[i % documents.size()];
    EXPECT_NEAR(dot(sparse, q, sparse, d), lexical.values[i], 80 * largest * largest * kParityTolerance);
    EXPECT_NEAR(scores[i], vectors.values[i], 10 * kParityTolerance);
    const auto rows = static_cast<float>(tokens.text(q).size()) / static_cast<float>(tokens.columns);
    EXPECT_NEAR(scores[i], max_sim(tokens, q, tokens, d) / rows, 1e-6f);
    EXPECT_GT(std::abs(scores[i] - max_sim(tokens, q, tokens, d)), 0.1f) << "the twin: the sum";
  }
}

// To the bit on the cpu engine, which computes row by row.
TEST(M3Vectors, OfOneRunAreThoseOfThree) {
  const Encoder encoder = load(tiny("bge_m3"));
  const std::vector<std::string> all = texts();
  expect_same(encoder.embed_all(all),
              {encoder.embed(all), encoder.embed_sparse(all), encoder.embed_tokens(all)});
  TokenVectorOptions query;
  query.task = EmbedTask::query;
  EXPECT_EQ(encoder.embed_tokens(all, query).values, encoder.embed_tokens(all).values)
      << "queries are documents";
}

TEST(M3Vectors, AreTheSameInAnyBatch) {
  const test::TemporaryFolder folder;
  convert({.model = tiny("bge_m3"), .output = folder / "q", .scheme = {Mode::affine, 8, 32, Dtype::f32}});
  for (const Activations activations : {Activations::float32, Activations::int8, Activations::bf16}) {
    EncoderOptions options;
    options.engine = EngineKind::cpu;
    options.activations = activations;
    options.threads = 2;
    const Encoder encoder = Encoder::load(folder / "q", options);
    std::vector<std::string> many;
    for (int i = 0; i < 40; ++i)
      for (const std::string& text : texts()) many.push_back(text);
    const AllVectors all = encoder.embed_all(many);
    for (size_t t = 0; t < many.size(); t += 23) {
      const auto row = static_cast<int64_t>(t);
      const AllVectors alone = encoder.embed_all(std::vector{many[t]});
      EXPECT_THAT(all.dense.row(row), ElementsAreArray(alone.dense.values));
      EXPECT_THAT(all.sparse.row_indices(row), ElementsAreArray(alone.sparse.indices));
      EXPECT_THAT(all.sparse.row_values(row), ElementsAreArray(alone.sparse.values));
      EXPECT_THAT(all.tokens.text(row), ElementsAreArray(alone.tokens.values));
    }
  }
}

TEST(M3Vectors, KeepTheLargestWeights) {
  const Encoder encoder = load(tiny("bge_m3"));
  const std::vector<std::string> one{texts()[0]};
  const SparseVectors all = encoder.embed_sparse(one), few = encoder.embed_sparse(one, {.top_k = 3});
  ASSERT_GT(all.values.size(), 3u);
  std::vector<float> falling = all.values, kept = few.values;
  std::ranges::sort(falling, std::greater{});
  std::ranges::sort(kept, std::greater{});
  EXPECT_THAT(kept, ElementsAreArray(std::span(falling).first(3)));
  EXPECT_TRUE(std::ranges::is_sorted(few.indices));
}

// 1 / 128: the largest change by rounding a weight to bfloat16.
TEST(M3Heads, DamageOfAnyTensorIsNoticed) {
  const test::Golden golden(tiny("bge_m3"));
  for (const char* engine : {"cpu", "mlx"})
    for (size_t damaged = 0; damaged < 4; ++damaged) {
      std::string why_not;
      auto made = test::make_engine(engine, why_not);
      if (!made) continue;
      LoadedModel loaded = load_model(tiny("bge_m3"), {});
      StoredWeight* weights[] = {&loaded.sentence.m3->sparse.weight, &loaded.sentence.m3->sparse.bias,
                                 &loaded.sentence.m3->colbert.weight, &loaded.sentence.m3->colbert.bias};
      StoredWeight& weight = *weights[damaged];
      std::vector<float> values(static_cast<size_t>(element_count(weight.shape)));
      to_float(weight.dtype, weight.codes, values);
      for (size_t i = 0; i < values.size(); ++i) values[i] *= i % 2 == 0 ? 1 + 1 / 128.0f : 1 - 1 / 128.0f;
      weight.codes = std::as_bytes(std::span(values));
      weight.dtype = weight.scheme.dtype = Dtype::f32;
      bind(loaded, *made);
      RunResult result;
      made->run(loaded.model, test::request_for(golden, "texts."), result);
      double largest = 0;
      for (const test::Difference& d : test::compare(golden, "texts.", result))
        largest = std::max(largest, d.relative);
      EXPECT_GT(largest, kParityTolerance) << engine << ": " << weight.name;
    }
}

// The heads are carried as they are; the encoder has the numbers of its codes.
TEST(M3Heads, AreCarriedByAnyConversion) {
  const AllVectors original = load(tiny("bge_m3")).embed_all(texts());
  for (const auto& [bits, calibrated, layout] : {std::tuple(0, false, Layout::hf),
                                                 {8, false, Layout::hf},
                                                 {4, false, Layout::hf},
                                                 {4, true, Layout::hf},
                                                 {8, false, Layout::mlx_embeddings}}) {
    SCOPED_TRACE(fmt::format("{} bits{}", bits, calibrated ? ", calibrated" : ""));
    const test::TemporaryFolder folder;
    test::Heard heard;
    ConvertOptions options{.model = tiny("bge_m3"), .output = folder / "q", .warning = heard.warning()};
    options.scheme =
        bits == 0 ? Scheme{Mode::none, 0, 0, Dtype::f32} : Scheme{Mode::affine, bits, 32, Dtype::f32};
    options.layout = layout;
    if (calibrated) {
      options.calibration.emplace();
      for (const std::string& text : texts()) options.calibration->texts.push_back({text});
    }
    EXPECT_THAT(convert(options).plan.notes,
                Contains(HasSubstr("without quantization: sparse_linear.pt, colbert_linear.pt")));
    EXPECT_THAT(heard.sentences, Not(Contains(HasSubstr("_linear.pt"))));
    for (const char* file : {kSparse, kColbert})
      EXPECT_EQ(test::read_file(folder / "q" / file), test::read_file(tiny("bge_m3") / file));
    EXPECT_THAT(inspect_model(folder / "q").heads, IsSupersetOf({"token_weights", "token_vectors"}));

    const VerifyReport report = verify(folder / "q");
    EXPECT_EQ(report.verdict, Verdict::passed) << fmt::format("{}", fmt::join(report.failures, "; "));
    EXPECT_EQ(report.output, layout == Layout::hf ? "all_vectors" : "sentence");

    const AllVectors found = load(folder / "q").embed_all(texts());
    if (bits == 0) {
      expect_same(found, original);
      continue;
    }
    dequantize_model({.model = folder / "q", .output = folder / "plain"});
    const AllVectors expected = load(folder / "plain").embed_all(texts());
    for (const char* engine : {"cpu", "mlx"}) {
      std::string why_not;
      if (!test::make_engine(engine, why_not)) continue;
      // The same numbers; a product may add them up in another order, and decode them with one rounding more.
      const AllVectors q = load(folder / "q", parse_engine(engine)).embed_all(texts());
      expect_near("dense", matrix(q.dense), matrix(expected.dense));
      expect_near("tokens", matrix(q.tokens), matrix(expected.tokens));
      expect_near("lexical weights", column(q.sparse), column(expected.sparse));
    }
    expect_far("tokens", matrix(found.tokens), matrix(original.tokens));
  }
}

// A byte that is changed, a file that is gone, and a head that was exchanged before its sum was taken.
TEST(M3Heads, VerifyNoticesDamage) {
  const test::TemporaryFolder folder;
  convert({.model = tiny("bge_m3"), .output = folder / "q", .scheme = {Mode::affine, 8, 32, Dtype::f32}});
  const auto failures = [&] {
    const VerifyReport report = verify(folder / "q");
    EXPECT_EQ(report.verdict, Verdict::failed);
    return report.failures;
  };
  for (const char* file : {kSparse, kColbert}) {
    const std::string whole = test::read_file(folder / "q" / file);
    std::string damaged = whole;
    damaged[damaged.size() / 2] ^= 1;
    test::write_file(folder / "q" / file, damaged);
    EXPECT_THAT(failures(), Contains(HasSubstr(file)));
    std::filesystem::remove(folder / "q" / file);
    EXPECT_THAT(failures(), Contains(HasSubstr("expected both")));
    test::write_file(folder / "q" / file, whole);
  }
  EXPECT_EQ(verify(folder / "q").verdict, Verdict::passed);
}

class M3Folder : public ::testing::Test {
 protected:
  M3Folder() { std::filesystem::copy(tiny("bge_m3"), path(), std::filesystem::copy_options::recursive); }
  std::filesystem::path path() const { return folder_ / "m"; }
  void put(const std::filesystem::path& file, const char* name) {
    std::filesystem::copy_file(file, path() / name, std::filesystem::copy_options::overwrite_existing);
  }
  std::string refused() {
    return error_text([&] { load(path()); }, ErrorCode::format);
  }
  test::TemporaryFolder folder_;
};

TEST_F(M3Folder, NeedsBothHeadsInTheirShapes) {
  put(tiny("bge_m3") / kColbert, kSparse);
  EXPECT_THAT(refused(),
              HasSubstr("sparse_linear.pt: weight is F16 [24, 32], expected a float weight [1, D] and "
                        "a bias [1]; take the file of the original model"));
  put(std::filesystem::path(MLXE_TEST_DATA) / "torch/dense.bin", kSparse);
  EXPECT_THAT(refused(), HasSubstr("sparse_linear.pt: has no weight, expected"));
  std::filesystem::remove(path() / kSparse);
  EXPECT_THAT(refused(),
              HasSubstr("found colbert_linear.pt without sparse_linear.pt, expected both, as in bge-m3"));
  std::filesystem::remove(path() / kColbert);
  EXPECT_EQ(load(path()).embed(texts()).values, load(tiny("bge_m3")).embed(texts()).values)
      << "an encoder without the heads";
  EXPECT_THAT(error_text([&] { load(path()).embed_all(texts()); }, ErrorCode::unsupported),
              HasSubstr("has no sparse_linear.pt and colbert_linear.pt"));
}

TEST_F(M3Folder, NeedsHeadsOfItsWidth) {
  const test::TemporaryFolder other;
  std::filesystem::copy(tiny("bert_odd"), other / "m", std::filesystem::copy_options::recursive);
  for (const char* file : {kSparse, kColbert})
    std::filesystem::copy_file(tiny("bge_m3") / file, other / "m" / file);
  EXPECT_THAT(error_text([&] { load(other / "m"); }, ErrorCode::format),
              HasSubstr("sparse_linear.pt: weight is [1, 32], expected 40 columns as config.json implies"));
}

TEST_F(M3Folder, WithoutModulesHasTheVectorsOfFlagEmbedding) {
  std::filesystem::remove(path() / "modules.json");
  test::Heard heard;
  const Encoder encoder = load(path(), EngineKind::cpu, heard.warning());
  EXPECT_THAT(heard.sentences,
              Contains(HasSubstr(
                  "the first token's vector, scaled to length 1, was assumed, as FlagEmbedding does")));
  const std::vector<std::string> one{texts()[0]};
  expect_same(encoder.embed_all(one), load(tiny("bge_m3")).embed_all(one));
}

TEST_F(M3Folder, SaysWhatItHas) {
  test::Heard heard;
  EncoderOptions options;
  options.splade_pooling = "max";
  options.warning = heard.warning();
  const Encoder encoder = Encoder::load(path(), options);
  EXPECT_THAT(heard.sentences, ElementsAre(HasSubstr("the pooling max has no effect")));
  EXPECT_TRUE(encoder.info().lexical_weights && encoder.info().late_interaction);
  EXPECT_FALSE(encoder.info().tells_queries_apart);
  EXPECT_EQ(encoder.info().splade_pooling, "");
  heard.sentences.clear();
  encoder.embed(texts());
  EXPECT_THAT(heard.sentences, Each(HasSubstr("truncated"))) << "the dense vector is one of its own";
}

// A ColBERT that was trained from bge-m3 has a projection of its own.
TEST_F(M3Folder, OfAnotherLibraryIsReadAsThat) {
  test::write_file(path() / "config_sentence_transformers.json", R"({"model_type": "ColBERT"})");
  test::Heard heard;
  const Encoder encoder = load(path(), EngineKind::cpu, heard.warning());
  EXPECT_FALSE(encoder.info().lexical_weights);
  EXPECT_FALSE(encoder.info().late_interaction);
  for (const char* file : {kSparse, kColbert})
    EXPECT_THAT(
        heard.sentences,
        Contains(HasSubstr(fmt::format("{}: ignored, because the folder was saved as a \"ColBERT\"", file))));
}

}  // namespace
}  // namespace mlxe::m3_test
