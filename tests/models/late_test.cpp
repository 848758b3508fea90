// Token vectors and MaxSim as PyLate computes them, and what is said where there are none.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "golden.h"
#include "mlx_encoder/convert.h"
#include "mlx_encoder/encoder.h"
#include "model_folders.h"

namespace mlxe::late_test {
namespace {

using nlohmann::json;
using test::error_text;
using test::tiny;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr const char* kFolders[] = {"colbert", "colbert_stanford"};

Encoder load(const std::filesystem::path& folder, EngineKind engine = EngineKind::cpu) {
  EncoderOptions options;
  options.engine = engine;
  options.activations = Activations::float32;
  options.embeds = false;
  return Encoder::load(folder, options);
}

std::vector<std::string> texts(const char* model, const char* which) {
  return read_json(tiny(model) / "late.json")[which].get<std::vector<std::string>>();
}

std::vector<int32_t> integers(const std::filesystem::path& folder, const std::string& name) {
  const SafetensorsFile file(folder / "golden.safetensors");
  const TensorView& view = *file.find(name);
  std::vector<int32_t> values(view.data.size() / sizeof(int32_t));
  std::memcpy(values.data(), view.data.data(), view.data.size());
  return values;
}

Matrix matrix(const TokenVectors& v) {
  return {std::ssize(v.ids), v.columns, {v.values.begin(), v.values.end()}};
}

TokenVectors queries_of(const Encoder& encoder, const std::vector<std::string>& of) {
  TokenVectorOptions options;
  options.task = EmbedTask::query;
  return encoder.embed_tokens(of, options);
}

class Late : public ::testing::TestWithParam<test::EngineAndFolder> {
 protected:
  void SetUp() override {
    const auto [engine, name] = GetParam();
    std::string why_not;
    if (!test::make_engine(engine, why_not)) GTEST_SKIP() << why_not;
    name_ = name;
    encoder_.emplace(load(tiny(name), parse_engine(engine)));
    golden_.emplace(tiny(name));
  }
  const char* name_ = nullptr;
  std::optional<Encoder> encoder_;
  std::optional<test::Golden> golden_;
};

TEST_P(Late, VectorsAreThoseOfPyLate) {
  const TokenVectors queries = queries_of(*encoder_, texts(name_, "queries"));
  EXPECT_EQ(queries.ids, integers(tiny(name_), "query.ids"));
  const test::Difference q =
      test::difference("queries", matrix(queries), golden_->matrix("query.token_vectors"));
  EXPECT_LE(q.relative, test::kParityTolerance) << q.place;

  const TokenVectors documents = encoder_->embed_tokens(texts(name_, "documents"));
  const Matrix all = golden_->matrix("texts.token_vectors");
  const std::vector<int32_t> ids = integers(tiny(name_), "texts.ids"),
                             kept = integers(tiny(name_), "texts.kept");
  Matrix expected{std::ssize(kept), all.columns, {}};
  std::vector<int32_t> kept_ids;
  for (const int32_t row : kept) {
    kept_ids.push_back(ids[static_cast<size_t>(row)]);
    expected.values.insert(expected.values.end(), all.values.begin() + row * all.columns,
                           all.values.begin() + (row + 1) * all.columns);
  }
  EXPECT_LT(kept.size(), ids.size()) << "punctuation has no vector";
  EXPECT_EQ(documents.ids, kept_ids);
  const test::Difference d = test::difference("documents", matrix(documents), expected);
  EXPECT_LE(d.relative, test::kParityTolerance) << d.place;
}

// A score is a sum of at most 16 products of vectors of length 1, each off by some tolerances.
TEST_P(Late, ScoresAreThoseOfPyLate) {
  const std::vector<std::string> queries = texts(name_, "queries"), documents = texts(name_, "documents");
  const Matrix expected = golden_->matrix("scores");
  const TokenVectors q = queries_of(*encoder_, queries), d = encoder_->embed_tokens(documents);
  std::vector<TextInput> pairs;
  for (const std::string& query : queries)
    for (const std::string& document : documents) pairs.push_back({query, document});
  const std::vector<float> scores = encoder_->relevance(pairs);
  for (int64_t i = 0; i < expected.rows; ++i) {
    size_t best = 0;
    for (int64_t j = 0; j < expected.columns; ++j) {
      const auto at = static_cast<size_t>(i * expected.columns + j);
      EXPECT_NEAR(max_sim(q, i, d, j), expected.values[at], 64 * test::kParityTolerance);
      EXPECT_EQ(scores[at], max_sim(q, i, d, j));
      if (expected.values[at] > expected.values[static_cast<size_t>(i * expected.columns) + best])
        best = static_cast<size_t>(j);
    }
    EXPECT_EQ(encoder_->rerank(queries[static_cast<size_t>(i)], documents)[0].index, best);
  }
}

INSTANTIATE_TEST_SUITE_P(Models, Late,
                         ::testing::Combine(::testing::Values("cpu", "mlx"), ::testing::ValuesIn(kFolders)),
                         test::name_of);

// Mask tokens that attention does not read leave the others' vectors as they are, and have vectors all the same.
TEST(LateInteraction, ExpansionTokensAreReadOnlyIfTheFolderSaysSo) {
  const test::TemporaryFolder folder;
  for (const char* name : kFolders) {
    const auto with = [&](const char* key, bool value) {
      const std::filesystem::path copy = folder / fmt::format("{}{}{}", name, key, value);
      std::filesystem::copy(tiny(name), copy, std::filesystem::copy_options::recursive);
      const bool pylate = std::string_view(name) == "colbert";
      const std::filesystem::path file =
          copy / (pylate ? "config_sentence_transformers.json" : "artifact.metadata");
      json settings = read_json(file);
      settings[key] = value;
      test::write_file(file, settings.dump());
      return copy;
    };
    const std::vector<std::string> query{"rain"};
    const char* attends =
        std::string_view(name) == "colbert" ? "attend_to_expansion_tokens" : "attend_to_mask_tokens";
    for (const char* engine : {"cpu", "mlx"}) {
      std::string why_not;
      if (!test::make_engine(engine, why_not)) continue;
      const TokenVectors plain = queries_of(load(tiny(name), parse_engine(engine)), query);
      const TokenVectors reading = queries_of(load(with(attends, true), parse_engine(engine)), query);
      EXPECT_EQ(plain.ids, reading.ids);
      EXPECT_EQ(plain.ids.size(), 16u);
      EXPECT_GT(test::difference(name, matrix(reading), matrix(plain)).relative,
                100 * test::kParityTolerance);
      std::filesystem::remove_all(folder / fmt::format("{}{}{}", name, attends, true));
    }
    if (std::string_view(name) != "colbert") continue;
    const TokenVectors whole = queries_of(load(tiny(name)), query);
    const TokenVectors alone = queries_of(load(with("do_query_expansion", false)), query);
    ASSERT_LT(alone.ids.size(), 16u);
    EXPECT_THAT(alone.ids, ElementsAreArray(std::span(whole.ids).first(alone.ids.size())));
    EXPECT_THAT(alone.values, ElementsAreArray(std::span(whole.values).first(alone.values.size())));
  }
}

TEST(LateInteraction, VectorsAreTheSameInAnyBatch) {
  for (const char* name : kFolders) {
    const Encoder encoder = load(tiny(name));
    std::vector<std::string> many;
    for (int i = 0; i < 40; ++i)
      for (const std::string& text : texts(name, "queries")) many.push_back(text);
    const TokenVectors all = queries_of(encoder, many);
    for (size_t i = 0; i < 3; ++i)
      EXPECT_THAT(all.text(static_cast<int64_t>(i + 60)),
                  ElementsAreArray(queries_of(encoder, {many[i]}).values));
  }
}

// Batches of calls of several threads, and parts of a batch for threads, keep which tokens are read.
TEST(LateInteraction, TokensThatAreNotReadStayWithTheirText) {
  for (const char* engine : {"cpu", "mlx"}) {
    std::string why_not;
    auto made = test::make_engine(engine, why_not, {.threads = 2});
    if (!made) continue;
    test::Running model(tiny("colbert_stanford"), std::move(made));
    const Batch texts = test::Golden(tiny("colbert_stanford")).batch("query.");
    RunRequest all{.wanted = {Output::token_vectors}};
    for (int copy = 0; copy < 30; ++copy)
      for (int64_t b = 0; b < texts.texts(); ++b)
        all.batch.append(std::span(texts.ids).subspan(static_cast<size_t>(texts.offsets[b]),
                                                      static_cast<size_t>(texts.length(b))),
                         {}, 0, texts.length(b) - texts.key_count(b));
    const Matrix found = model.run(all)[Output::token_vectors];
    const Matrix expected = test::Golden(tiny("colbert_stanford")).matrix("query.token_vectors");
    const auto size = static_cast<ptrdiff_t>(expected.values.size());
    for (int copy = 0; copy < 30; copy += 29) {
      const Matrix part{expected.rows,
                        expected.columns,
                        {found.values.begin() + copy * size, found.values.begin() + (copy + 1) * size}};
      EXPECT_LE(test::difference(engine, part, expected).relative, test::kParityTolerance);
    }
    all.batch.keys.clear();  // the twin: all are read
    const Matrix read = model.run(all)[Output::token_vectors];
    EXPECT_GT(test::difference(engine, read, found).relative, 100 * test::kParityTolerance);
  }
}

TEST(LateInteraction, OfAQuantizedModelIsThatOfItsNumbers) {
  for (const char* name : kFolders)
    for (const bool calibrated : {false, true}) {
      SCOPED_TRACE(fmt::format("{}{}", name, calibrated ? ", calibrated" : ""));
      const test::TemporaryFolder folder;
      test::Heard heard;
      ConvertOptions options{.model = tiny(name),
                             .output = folder / "q",
                             .scheme = {Mode::affine, 4, 32, Dtype::f32},
                             .warning = heard.warning()};
      if (calibrated) {
        options.calibration.emplace();
        for (const std::string& text : texts(name, "documents")) options.calibration->texts.push_back({text});
      }
      convert(options);
      std::erase_if(heard.sentences, [](const std::string& s) {
        return s.find("golden.safetensors") != s.npos || s.find("pooling was assumed") != s.npos ||
               s.find("texts") != s.npos || s.find("kept float") != s.npos;
      });
      EXPECT_THAT(heard.sentences, IsEmpty());
      dequantize_model({.model = folder / "q", .output = folder / "plain"});
      const std::vector<std::string> documents = texts(name, "documents");
      const Matrix expected = matrix(load(folder / "plain").embed_tokens(documents));
      for (const char* engine : {"cpu", "mlx"}) {
        std::string why_not;
        if (!test::make_engine(engine, why_not)) continue;
        // The same numbers; a product may add them up in another order, and decode them with one rounding more.
        const test::Difference d = test::difference(
            engine, matrix(load(folder / "q", parse_engine(engine)).embed_tokens(documents)), expected);
        EXPECT_LE(d.relative, test::kParityTolerance) << d.what << ": " << d.place;
      }
      const Matrix original = matrix(load(tiny(name)).embed_tokens(documents));
      EXPECT_GT(test::difference("original", expected, original).relative, 100 * test::kParityTolerance);
    }
}

TEST(LateInteraction, NeedsAFolderOfItsKind) {
  const std::vector<std::string> one{"the cat sat"};
  EXPECT_THAT(error_text([&] { load(tiny("bert")).embed_tokens(one); }, ErrorCode::unsupported),
              HasSubstr("is no late interaction model (ColBERT)"));
  EXPECT_FALSE(load(tiny("bert")).info().late_interaction);
  EXPECT_TRUE(load(tiny("colbert")).info().late_interaction);
  EXPECT_THAT(error_text(
                  [&] {
                    load(tiny("bert")).relevance(std::vector<TextInput>{{"a", "b"}});
                  },
                  ErrorCode::unsupported),
              HasSubstr("no classification head"));
}

class LateFolder : public ::testing::Test {
 protected:
  std::filesystem::path copy(const char* name) {
    std::filesystem::remove_all(folder_ / "m");
    std::filesystem::copy(tiny(name), folder_ / "m", std::filesystem::copy_options::recursive);
    return folder_ / "m";
  }
  void change(const char* file, const std::function<void(json&)>& change) {
    json content = read_json(folder_ / "m" / file);
    change(content);
    test::write_file(folder_ / "m" / file, content.dump());
  }
  test::TemporaryFolder folder_;
  const std::vector<std::string> one_{"rain, rain."};
};

TEST_F(LateFolder, SettingsAreItsOwn) {
  copy("colbert");
  constexpr const char* kConfig = "config_sentence_transformers.json";
  change(kConfig, [](json& c) { c["query_prefix"] = "[no such]"; });
  EXPECT_THAT(error_text([&] { queries_of(load(folder_ / "m"), one_); }, ErrorCode::format),
              HasSubstr("the mark \"[no such]\" of queries or documents is no token of the model"));
  change(kConfig, [](json& c) { c["query_prefix"] = "", c["query_length"] = 3; });
  EXPECT_THAT(error_text([&] { queries_of(load(folder_ / "m"), one_); }, ErrorCode::format),
              HasSubstr("the length of queries is 3 tokens, expected at least 4"));
  change(kConfig, [](json& c) { c["query_length"] = 9; });
  EXPECT_EQ(queries_of(load(folder_ / "m"), one_).ids.size(), 9u);
  const size_t kept = load(folder_ / "m").embed_tokens(one_).ids.size();
  change(kConfig, [](json& c) { c["skiplist_words"] = json::array(); });
  EXPECT_GT(load(folder_ / "m").embed_tokens(one_).ids.size(), kept);
  change(kConfig, [](json& c) { c["document_length"] = 5; });
  test::Heard heard;
  EncoderOptions options;
  options.embeds = false;
  options.warning = heard.warning();
  EXPECT_EQ(Encoder::load(folder_ / "m", options).embed_tokens(one_).ids.size(), 5u);
  EXPECT_THAT(heard.sentences, ::testing::ElementsAre(HasSubstr("truncated to 5 tokens")));
}

// PyLate's first versions wrote no "model_type".
TEST_F(LateFolder, OfEarlyVersionsIsKnownByItsSimilarity) {
  copy("colbert");
  change("config_sentence_transformers.json", [](json& c) { c.erase("model_type"); });
  EXPECT_EQ(queries_of(load(folder_ / "m"), one_).values, queries_of(load(tiny("colbert")), one_).values);
}

TEST_F(LateFolder, WithoutAProjectionHasNoTokenVectors) {
  copy("colbert");
  change("modules.json", [](json& c) { c.erase(1); });
  test::Heard heard;
  load_model(folder_ / "m", heard.warning(), ExpectVectors::no);
  EXPECT_THAT(heard.sentences, ::testing::ElementsAre(HasSubstr("has no Dense module")));
  EXPECT_FALSE(load(folder_ / "m").info().late_interaction);
}

TEST_F(LateFolder, OfStanfordMayLackItsMetadata) {
  copy("colbert_stanford");
  std::filesystem::remove(folder_ / "m/artifact.metadata");
  test::Heard heard;
  load_model(folder_ / "m", heard.warning(), ExpectVectors::no);
  EXPECT_THAT(heard.sentences, ::testing::ElementsAre(HasSubstr("has no artifact.metadata")));
  EXPECT_EQ(queries_of(load(folder_ / "m"), one_).ids.size(), 32u) << "PyLate's default";
  copy("colbert_stanford");
  const size_t kept = load(folder_ / "m").embed_tokens(one_).ids.size();
  change("artifact.metadata", [](json& c) { c["mask_punctuation"] = false; });
  EXPECT_GT(load(folder_ / "m").embed_tokens(one_).ids.size(), kept);
}

// Local attention of four tokens to either side does not reach from the last mask tokens to the query.
TEST_F(LateFolder, ThatLocalAttentionCannotReachIsRefused) {
  copy("colbert");
  test::change_config(folder_ / "m", [](json& c) { c["local_attention"] = 8; });
  EXPECT_THAT(
      error_text([&] { queries_of(load(folder_ / "m"), std::vector<std::string>{"rain"}); },
                 ErrorCode::unsupported),
      HasSubstr("text 1: 11 mask tokens that attention does not read make the query longer, which is not "
                "implemented for attention to 4 tokens on either side"));
  change("config_sentence_transformers.json", [](json& c) { c["attend_to_expansion_tokens"] = true; });
  EXPECT_EQ(queries_of(load(folder_ / "m"), std::vector<std::string>{"rain"}).ids.size(), 16u);
}

}  // namespace
}  // namespace mlxe::late_test
