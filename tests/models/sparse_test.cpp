// Sparse vectors as sentence-transformers' SparseEncoder gives them, and what is said where there are none.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "engine_cpu/ops.h"
#include "golden.h"
#include "mlx_encoder/convert.h"
#include "mlx_encoder/encoder.h"
#include "model_folders.h"

namespace mlxe::sparse_test {
namespace {

using nlohmann::json;
using test::changed_copy;
using test::error_text;
using test::RawTensors;
using test::tiny;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr const char* kFolders[] = {"splade", "splade_distil"};

Encoder load(const std::filesystem::path& folder, EngineKind engine = EngineKind::cpu,
             const std::string& pooling = "") {
  EncoderOptions options;
  options.engine = engine;
  options.activations = Activations::float32;
  options.splade_pooling = pooling;
  options.embeds = false;
  return Encoder::load(folder, options);
}

std::vector<std::string> texts() {
  return read_json(test::kTinyFolders / "texts.json")["texts"].get<std::vector<std::string>>();
}

// All columns of a row.
Matrix dense(const SparseVectors& vectors) {
  Matrix m{vectors.rows, vectors.columns, {}};
  m.values.resize(static_cast<size_t>(m.rows * m.columns));
  std::ranges::fill(m.values, 0.0f);
  for (int64_t i = 0; i < vectors.rows; ++i)
    for (size_t k = 0; k < vectors.row_indices(i).size(); ++k)
      m.values[static_cast<size_t>(i * m.columns + vectors.row_indices(i)[k])] = vectors.row_values(i)[k];
  return m;
}

class Sparse : public ::testing::TestWithParam<test::EngineAndFolder> {
 protected:
  void SetUp() override {
    const auto [engine, name] = GetParam();
    std::string why_not;
    if (!test::make_engine(engine, why_not)) GTEST_SKIP() << why_not;
    encoder_.emplace(load(tiny(name), parse_engine(engine)));
    golden_.emplace(tiny(name));
  }
  std::optional<Encoder> encoder_;
  std::optional<test::Golden> golden_;
};

TEST_P(Sparse, EqualsSparseEncoder) {
  for (const auto& [group, prompt] : {std::pair("texts.", ""), {"query.", "query"}}) {
    SparseOptions options;
    options.prompt_name = prompt;
    const SparseVectors found = encoder_->embed_sparse(texts(), options);
    const test::Difference d =
        test::difference(group, dense(found), golden_->matrix(std::string(group) + "term_weights"));
    EXPECT_LE(d.relative, test::kParityTolerance) << d.what << d.place;
    for (const float weight : found.values) EXPECT_GT(weight, 0);
  }
}

// A weight is the sum, over the tokens of a text, of at most log(1 + 10): an error of the tolerance times the largest
// weight, below 50, and the seven digits of the golden.
TEST_P(Sparse, TheLargestWeightsAreThoseOfTheLibrary) {
  SparseOptions options;
  options.top_k = 8;
  const SparseVectors found = encoder_->embed_sparse(texts(), options);
  const json expected = read_json(tiny(std::get<1>(GetParam())) / "terms.json");
  ASSERT_EQ(found.rows, std::ssize(expected));
  for (int64_t i = 0; i < found.rows; ++i) {
    std::map<std::string, double> theirs;
    for (const json& term : expected[static_cast<size_t>(i)]) theirs[term[0]] = term[1];
    ASSERT_EQ(found.row_indices(i).size(), theirs.size());
    for (size_t k = 0; k < theirs.size(); ++k) {
      const std::string token = encoder_->token(found.row_indices(i)[k]);
      ASSERT_TRUE(theirs.contains(token)) << token;
      EXPECT_NEAR(found.row_values(i)[k], theirs[token], 50 * test::kParityTolerance);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, Sparse,
                         ::testing::Combine(::testing::Values("cpu", "mlx"), ::testing::ValuesIn(kFolders)),
                         test::name_of);

// The formula, from the logits of all tokens that the head of the masked language model gives: an independent path.
TEST(SparseVectors, AreThePooledLogitsOfAMaskedLanguageModel) {
  for (const char* name : {"bert_mlm", "bert_mlm_untied", "modernbert_mlm_bias", "roberta_mlm"}) {
    test::Running model(tiny(name), make_cpu_engine({.activations = Activations::float32}));
    const Encoder maximum = load(tiny(name), EngineKind::cpu, "max"),
                  sum = load(tiny(name), EngineKind::cpu, "sum");
    for (const std::string& text : texts()) {
      const Tokens tokens = maximum.tokenize({text});
      RunRequest request{.wanted = {Output::chosen_logits}};
      request.batch.append(tokens.ids, tokens.type_ids);
      for (int32_t t = 0; t < std::ssize(tokens.ids); ++t) request.batch.chosen.push_back(t);
      const Matrix logits = model.run(request)[Output::chosen_logits];
      Matrix largest{1, logits.columns, {}}, total{1, logits.columns, {}};
      for (int64_t c = 0; c < logits.columns; ++c) {
        double most = 0, all = 0;
        for (int64_t t = 0; t < logits.rows; ++t) {
          const double weight =
              std::log1p(std::max(0.0, double{logits.values[static_cast<size_t>(t * logits.columns + c)]}));
          most = std::max(most, weight);
          all += weight;
        }
        largest.values.push_back(static_cast<float>(most));
        total.values.push_back(static_cast<float>(all));
      }
      const auto near = [&](const Encoder& encoder, const Matrix& expected) {
        return test::difference(name, dense(encoder.embed_sparse(std::vector{text})), expected).relative;
      };
      EXPECT_LE(near(maximum, largest), test::kParityTolerance) << text;
      EXPECT_LE(near(sum, total), test::kParityTolerance) << text;
      if (tokens.ids.size() > 2) {
        EXPECT_GT(near(sum, largest), 100 * test::kParityTolerance) << "the twin: " << text;
      }
    }
  }
}

TEST(SparseVectors, OfATextAreTheSameInAnyBatch) {
  for (const char* name : kFolders)
    for (const Activations activations : {Activations::float32, Activations::int8, Activations::bf16}) {
      const test::TemporaryFolder folder;
      convert({.model = tiny(name), .output = folder / "q", .scheme = {Mode::affine, 8, 32, Dtype::f32}});
      EncoderOptions options;
      options.engine = EngineKind::cpu;
      options.activations = activations;
      options.threads = 2;
      const Encoder encoder = Encoder::load(folder / "q", options);
      std::vector<std::string> many;
      for (int i = 0; i < 60; ++i)
        for (const std::string& text : texts()) many.push_back(text);
      const SparseVectors all = encoder.embed_sparse(many);
      for (size_t t = 0; t < many.size(); t += 7) {
        const SparseVectors alone = encoder.embed_sparse(std::vector{many[t]});
        const auto row = static_cast<int64_t>(t);
        EXPECT_THAT(all.row_indices(row), ::testing::ElementsAreArray(alone.indices));
        EXPECT_THAT(all.row_values(row), ::testing::ElementsAreArray(alone.values));
      }
    }
}

// The worst 1 - cosine over the texts.
double worst_angle(const Matrix& a, const Matrix& b) {
  double worst = 0;
  for (int64_t row = 0; row < a.rows; ++row) {
    double ab = 0, aa = 0, bb = 0;
    for (int64_t c = 0; c < a.columns; ++c) {
      const double x = a.values[static_cast<size_t>(row * a.columns + c)],
                   y = b.values[static_cast<size_t>(row * a.columns + c)];
      ab += x * y, aa += x * x, bb += y * y;
    }
    worst = std::max(worst, 1 - ab / std::sqrt(aa * bb));
  }
  return worst;
}

// An outlier of 8 deviations in a group of 32 makes a step of 8-bit codes 8 / 127: noise of (8 / 127)^2 / 12 = 3.3e-4 beside
// a mean power of (8^2 + 31) / 32 = 3, so 1.1e-4 a product. Twelve products in a row, those of the head included, add up to
// 1.3e-3, half of it orthogonal to the vector: 7e-4, less what the residual connections carry past them. Rounding to bfloat16
// adds 2.5e-6 of the power to each product (bf16_engine_test.cpp): 1.5e-5, and a few times that for the worst text. (Measured:
// 6.8e-5 and 9.1e-6.) The twin: weights of 4 bits, whose steps of a fifteenth of a group's range of 4 deviations add
// (4 / 15)^2 / 12 = 6e-3 a product. (Measured: 1.7e-2.)
TEST(SparseVectors, WithActivationsOfFewerBitsAreNear) {
  for (const char* name : kFolders) {
    const test::TemporaryFolder folder;
    for (const int bits : {8, 4})
      convert({.model = tiny(name),
               .output = folder / fmt::format("{}", bits),
               .scheme = {Mode::affine, bits, 32, Dtype::f32}});
    const Matrix expected = dense(load(folder / "8").embed_sparse(texts()));
    for (const auto& [activations, limit, least] :
         {std::tuple(Activations::int8, 7e-4, 1e-6), {Activations::bf16, 5e-5, 1e-7}}) {
      const auto found = [&](const char* model) {
        EncoderOptions options;
        options.engine = EngineKind::cpu;
        options.activations = activations;
        return worst_angle(dense(Encoder::load(folder / model, options).embed_sparse(texts())), expected);
      };
      EXPECT_LE(found("8"), limit) << name;
      EXPECT_GT(found("8"), least) << name << ": activations are float32";
      EXPECT_GT(found("4"), 2 * limit) << name;
    }
  }
}

// The head's matrices are stored in codes, by both kinds of conversion; both engines read the same numbers.
TEST(SparseVectors, OfAQuantizedModelAreThoseOfItsNumbers) {
  for (const char* name : kFolders)
    for (const bool calibrated : {false, true}) {
      SCOPED_TRACE(fmt::format("{}{}", name, calibrated ? ", calibrated" : ""));
      const test::TemporaryFolder folder;
      ConvertOptions options{
          .model = tiny(name), .output = folder / "q", .scheme = {Mode::affine, 4, 32, Dtype::f32}};
      if (calibrated) {
        options.calibration.emplace();
        for (const std::string& text : texts()) options.calibration->texts.push_back({text});
      }
      const Conversion done = convert(options);
      int heads = 0;
      for (const PlannedTensor& t : done.plan.tensors)
        heads += t.scheme.mode == Mode::affine &&
                 (t.name.find("transform.dense") != t.name.npos || t.name.starts_with("vocab_transform"));
      EXPECT_EQ(heads, 1);
      EXPECT_TRUE(std::filesystem::exists(folder / "q/1_SpladePooling/config.json"));
      EXPECT_EQ(load(folder / "q").info().splade_pooling, load(tiny(name)).info().splade_pooling);
      dequantize_model({.model = folder / "q", .output = folder / "plain"});
      const Matrix expected = dense(load(folder / "plain").embed_sparse(texts()));
      for (const char* engine : {"cpu", "mlx"}) {
        std::string why_not;
        if (!test::make_engine(engine, why_not)) continue;
        const Matrix found = dense(load(folder / "q", parse_engine(engine)).embed_sparse(texts()));
        // The same numbers; a product may add them up in another order, and decode them with one rounding more.
        const test::Difference d = test::difference(engine, found, expected);
        EXPECT_LE(d.relative, test::kParityTolerance) << d.what << ": " << d.place;
      }
      const Matrix original = test::Golden(tiny(name)).matrix("texts.term_weights");
      EXPECT_GT(test::difference("original", expected, original).relative, 100 * test::kParityTolerance);
    }
}

// 400 tokens and 20,000 terms: 32 MB of logits. What the operation allocates is the result, 80 KB, and blocks.
TEST(SparseVectors, NeedNoMatrixOfAllTokensByAllTerms) {
  constexpr int64_t kTokens = 400, kTerms = 20000, kWidth = 32;
  const std::vector<float> weights = test::random_weights(kTerms * kWidth, 1),
                           values = test::random_weights(kTokens * kWidth, 2);
  std::deque<cpu::Weight> stored;
  const StoredWeight matrix{.name = "words",
                            .scheme = {.mode = Mode::none, .dtype = Dtype::f32},
                            .shape = {kTerms, kWidth},
                            .dtype = Dtype::f32,
                            .codes = std::as_bytes(std::span(weights)),
                            .scales = {},
                            .biases = {}};
  stored.emplace_back(matrix);
  cpu::Workspace workspace;
  cpu::CpuOps ops(stored, workspace, nullptr, {});
  Batch batch;
  batch.append(std::vector<int32_t>(kTokens, 1));
  cpu::Tensor x = workspace.arena.tensor(kTokens, kWidth);
  for (int64_t t = 0; t < kTokens; ++t) std::copy_n(values.data() + t * kWidth, kWidth, x.row(t));
  const Linear linear{.weight = 0, .in = kWidth, .out = kTerms, .has_bias = Bias::no};
  const auto used = [&] {
    return workspace.arena.bytes() + workspace.scratch[0]->capacity() * sizeof(float);
  };
  {
    const cpu::Tensor y = ops.term_weights(x, linear, {}, batch);
    EXPECT_EQ(y.rows(), 1);
    EXPECT_LT(used(), size_t{1} << 20);
  }
  const cpu::Tensor all = ops.linear(x, linear);  // the twin
  EXPECT_GT(used(), size_t{kTokens * kTerms} * sizeof(float));
}

TEST(SparseVectors, NeedAPoolingAndAHead) {
  const std::vector<std::string> one{"the cat sat"};
  const auto refused = [&](const Encoder& encoder) {
    return error_text([&] { encoder.embed_sparse(one); }, ErrorCode::unsupported);
  };
  EXPECT_THAT(refused(load(tiny("bert"))), HasSubstr("no head of a masked language model"));
  EXPECT_THAT(refused(load(tiny("bert"), EngineKind::cpu, "max")),
              HasSubstr("no head of a masked language model"));
  EXPECT_THAT(refused(load(tiny("bert_mlm"))), HasSubstr("states no SpladePooling (modules.json)"));
  EXPECT_EQ(load(tiny("bert_mlm")).info().splade_pooling, "");
  EXPECT_EQ(load(tiny("bert_mlm"), EngineKind::cpu, "sum").info().splade_pooling, "sum");
  EXPECT_EQ(load(tiny("splade")).info().splade_pooling, "max");
  EXPECT_EQ(load(tiny("splade_distil")).info().splade_pooling, "sum");
  EXPECT_THAT(error_text([&] { load(tiny("bert_mlm"), EngineKind::cpu, "mean"); }, ErrorCode::usage),
              HasSubstr("use max or sum"));
  EXPECT_THAT(error_text([&] { load(tiny("splade")).embed_sparse(one, {.top_k = -1}); }, ErrorCode::usage),
              HasSubstr("top_k"));
  test::Heard heard;
  load_model(tiny("splade"), heard.warning(), ExpectVectors::no, UnknownTensors::refuse, TermPooling::sum);
  EXPECT_THAT(heard.sentences, ElementsAre(HasSubstr("pools sparse vectors by max, as modules.json says")));
}

TEST(SparseVectors, AnEmptyTextHasItsSpecialTokens) {
  const Encoder encoder = load(tiny("splade"));
  EXPECT_GT(encoder.embed_sparse(std::vector<std::string>{""}).values.size(), 0u);
  const SparseVectors none = encoder.embed_sparse(std::vector<std::string>{});
  EXPECT_EQ(none.rows, 0);
  EXPECT_THAT(none.offsets, ElementsAre(0));
}

TEST(SparseVectors, DotAddsUpSharedTerms) {
  SparseVectors a, b;
  a.rows = 2, b.rows = 1;
  a.columns = b.columns = 10;
  a.offsets = {0, 3, 3}, a.indices = {1, 4, 7}, a.values = {2, 3, 5};
  b.offsets = {0, 3}, b.indices = {0, 4, 7}, b.values = {1, 10, 100};
  EXPECT_EQ(dot(a, 0, b, 0), 530);
  EXPECT_EQ(dot(a, 0, a, 0), 38);
  EXPECT_EQ(dot(a, 1, b, 0), 0);
  b.columns = 11;
  EXPECT_THAT(error_text([&] { dot(a, 0, b, 0); }, ErrorCode::usage), HasSubstr("10 and 11 columns"));
}

// Of a vocabulary that is padded to a multiple, the last ids have no token.
TEST(SparseVectors, AnIdWithoutATokenHasAnEmptyOne) {
  const Encoder encoder = load(tiny("splade"));
  EXPECT_EQ(encoder.token(1 << 20), "");
  EXPECT_EQ(encoder.token(static_cast<int32_t>(encoder.tokenize({"[MASK]"}).ids[1])), "[MASK]");
}

class SpladeFolder : public ::testing::Test {
 protected:
  SpladeFolder() {
    std::filesystem::copy(tiny("splade"), folder_ / "m", std::filesystem::copy_options::recursive);
  }
  void change(const char* file, const std::function<void(json&)>& change) {
    json content = read_json(folder_ / "m" / file);
    change(content);
    test::write_file(folder_ / "m" / file, content.dump());
  }
  test::TemporaryFolder folder_;
};

TEST_F(SpladeFolder, KnowsItsPooling) {
  constexpr const char* kConfig = "1_SpladePooling/config.json";
  const auto fails = [&](ErrorCode code) { return error_text([&] { load(folder_ / "m"); }, code); };
  change(kConfig, [](json& c) { c["embedding_dimension"] = 211; });
  EXPECT_THAT(fails(ErrorCode::format), HasSubstr("embedding dimension is 211, the vocabulary has 212"));
  change(kConfig, [](json& c) { c = {{"pooling_strategy", "mean"}}; });
  EXPECT_THAT(fails(ErrorCode::unsupported),
              HasSubstr("\"pooling_strategy\" is \"mean\", expected max or sum"));
  change(kConfig, [](json& c) { c = {{"activation_function", "gelu"}}; });
  EXPECT_THAT(fails(ErrorCode::unsupported), HasSubstr("\"activation_function\" is \"gelu\""));
  change(kConfig, [](json& c) { c = {{"zeta", 1}}; });
  EXPECT_THAT(fails(ErrorCode::unsupported), HasSubstr("zeta"));
  change(kConfig, [](json& c) { c = {{"embedding_dimension", nullptr}, {"chunk_size", 64}}; });
  const std::vector<std::string> one{"the cat sat"};
  EXPECT_EQ(load(folder_ / "m").embed_sparse(one).values, load(tiny("splade")).embed_sparse(one).values)
      << "max and relu are the defaults";
}

// Sparse models of other modules, such as Router and SparseStaticEmbedding, load, but have no sparse vectors.
TEST_F(SpladeFolder, OfOtherModulesIsSaid) {
  change("modules.json",
         [](json& c) { c[1]["type"] = "sentence_transformers.sparse_encoder.models.SparseAutoEncoder"; });
  test::Heard heard;
  load_model(folder_ / "m", heard.warning(), ExpectVectors::no);
  EXPECT_THAT(
      heard.sentences,
      ElementsAre(HasSubstr("a SparseEncoder of \"Transformer, SparseAutoEncoder\" is not implemented")));
  change("modules.json",
         [](json& c) { c[1]["type"] = "sentence_transformers.sparse_encoder.models.SpladePooling"; });
  change("sentence_bert_config.json", [](json& c) { c["transformer_task"] = "feature-extraction"; });
  heard.sentences.clear();
  load_model(folder_ / "m", heard.warning(), ExpectVectors::no);
  EXPECT_THAT(heard.sentences, ElementsAre(HasSubstr("Transformer, SpladePooling")));
}

TEST_F(SpladeFolder, LoadsFromAFolderOfTheTransformer) {
  change("modules.json", [](json& c) {
    c[0]["type"] = "sentence_transformers.sparse_encoder.models.MLMTransformer";
    c[0]["path"] = "0_MLMTransformer";
  });
  std::filesystem::create_directory(folder_ / "m/0_MLMTransformer");
  for (const char* file : {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
                           "special_tokens_map.json", "sentence_bert_config.json"})
    std::filesystem::rename(folder_ / "m" / file, folder_ / "m/0_MLMTransformer" / file);
  const std::vector<std::string> one{"the cat sat"};
  const SparseVectors expected = load(tiny("splade")).embed_sparse(one);
  EXPECT_EQ(load(folder_ / "m").embed_sparse(one).values, expected.values);
  convert({.model = folder_ / "m", .output = folder_ / "out", .scheme = {Mode::none, 0, 0, Dtype::f32}});
  EXPECT_EQ(load(folder_ / "out").embed_sparse(one).values, expected.values);
}

}  // namespace
}  // namespace mlxe::sparse_test
