// Texts without tokens, and results that are not numbers: the error names the text by its number in the
// whole input.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "encoder/text_runner.h"
#include "engine_mlx/mlx_engine.h"
#include "mlx_encoder/compare.h"
#include "mlx_encoder/encoder.h"
#include "model_folders.h"

namespace mlxe::empty_text_test {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// Texts without tokens in a tokenizer without special tokens: "", blanks, characters that BERT's cleaning
// removes.
const char* const kNothing[] = {"", "   ", "\t\n", "\x01\x02", "\u200b"};

// A tiny model whose tokenizer adds no special tokens.
fs::path without_special_tokens(const char* model, const test::TemporaryFolder& folder) {
  const fs::path copy = folder / model;
  fs::copy(test::tiny(model), copy, fs::copy_options::recursive);
  nlohmann::json tokenizer = read_json(copy / "tokenizer.json");
  tokenizer["post_processor"] = nullptr;
  test::write_file(copy / "tokenizer.json", tokenizer.dump());
  return copy;
}

std::vector<EngineKind> engines() {
  return mlx_status().available ? std::vector{EngineKind::cpu, EngineKind::mlx}
                                : std::vector{EngineKind::cpu};
}

class EmptyText : public ::testing::TestWithParam<EngineKind> {
 protected:
  test::TemporaryFolder folder_;
  void SetUp() override {
    if (GetParam() == EngineKind::mlx && !mlx_status().available) GTEST_SKIP() << mlx_status().reason;
  }
  Encoder load(const char* model) {
    return Encoder::load(without_special_tokens(model, folder_), {.engine = GetParam()});
  }
};

TEST_P(EmptyText, HasNoVectorWhateverThePooling) {
  for (const char* model :
       {"st_cls", "st_max", "st_mean_norm", "st_weightedmean", "st_mean_sqrt_len", "st_concat", "st_dense"}) {
    const Encoder encoder = load(model);
    for (const char* nothing : kNothing) {
      const auto embed = [&](std::vector<std::string> texts) {
        return test::error_text([&] { encoder.embed(texts, {.first_text = 4096}); }, ErrorCode::format);
      };
      EXPECT_THAT(embed({nothing}), HasSubstr("text 4097: no token to compute from")) << model;
      EXPECT_THAT(embed({"the cat", nothing, "the road"}), HasSubstr("text 4098: no token")) << model;
    }
    EXPECT_EQ(encoder.embed({"the cat"}).rows, 1) << model;
  }
}

TEST_P(EmptyText, HasNoLabel) {
  const Encoder encoder = load("distilbert_cls");
  const std::vector<TextInput> texts{{"the cat", std::nullopt}, {"", std::nullopt}};
  EXPECT_THAT(test::error_text([&] { encoder.classify(texts); }, ErrorCode::format),
              HasSubstr("text 2: no token"));
  const std::vector<TextInput> pairs{{"", "the cat"}, {"the cat", ""}};
  EXPECT_THAT(encoder.classify(pairs), SizeIs(2)) << "one text of a pair is enough";
  const std::vector<TextInput> no_pair{{"", ""}};
  EXPECT_THAT(test::error_text([&] { encoder.classify(no_pair); }, ErrorCode::format),
              HasSubstr("text 1: no token"));
  EXPECT_THAT(encoder.tokenize({"", std::nullopt}).ids, IsEmpty());
}

TEST_P(EmptyText, IsNumberedOnceForAllItsHypotheses) {
  const Encoder encoder = load("distilbert_nli");
  const std::vector<std::string> texts{"the cat", ""}, labels{"a", "b"};
  EXPECT_THAT(encoder.zero_shot(texts, labels), SizeIs(2)) << "the hypothesis has tokens";
}

TEST_P(EmptyText, HasNoEntities) {
  const Encoder encoder = load("bert_ner");
  const std::vector<std::string> texts{"", "the cat", "  "};
  const auto tokens = encoder.score_tokens(texts);
  EXPECT_THAT(tokens, ::testing::ElementsAre(IsEmpty(), SizeIs(2), IsEmpty()));
  const std::vector<std::string> alone{"the cat"};
  EXPECT_EQ(tokens[1][0].scores, encoder.score_tokens(alone)[0][0].scores);
}

// Pooling skips the prompt's tokens, and there are no others.
TEST_P(EmptyText, IsNotPooledOfNothingButAPrompt) {
  const fs::path model = without_special_tokens("st_mean_norm", folder_);
  test::write_file(model / "1_Pooling/config.json",
                   R"({"word_embedding_dimension": 32, "pooling_mode": "mean", "include_prompt": false})");
  const Encoder encoder = Encoder::load(model, {.engine = GetParam()});
  const std::vector<std::string> texts{"the road", ""};
  EXPECT_THAT(test::error_text([&] { encoder.embed(texts, {.prompt = "the cat"}); }, ErrorCode::format),
              HasSubstr("text 2: no token to pool beside those of the prompt"));
}

TEST_P(EmptyText, IsNamedByCompare) {
  const fs::path model = without_special_tokens("st_cls", folder_);
  const CompareInput input{.texts = {{"the cat", std::nullopt}, {"", std::nullopt}}};
  EXPECT_THAT(
      test::error_text([&] { compare(model, model, input, {.engine = GetParam()}); }, ErrorCode::format),
      HasSubstr("text 2: no token"));
}

TEST_P(EmptyText, IsATextWhereTheTokenizerAddsSpecialTokens) {
  const Encoder encoder = Encoder::load(test::tiny("st_cls"), {.engine = GetParam()});
  EXPECT_EQ(encoder.embed({"", "the cat"}).rows, 2);
}

// Both engines by name: asking which are available would load MLX into every test of this program.
INSTANTIATE_TEST_SUITE_P(Engines, EmptyText, ::testing::Values(EngineKind::cpu, EngineKind::mlx),
                         [](const auto& parameters) {
                           return std::string(parameters.param == EngineKind::cpu ? "cpu" : "mlx");
                         });

TEST(EmptyBatch, CannotEnterABatch) {
  Batch batch;
  EXPECT_THAT(test::error_text([&] { batch.append({}); }, ErrorCode::usage), HasSubstr("without tokens"));
}

// Damages a row of the word table that only one text uses.
TEST(NotFinite, NamesTheTextOfTheWholeInput) {
  const test::TemporaryFolder folder;
  const Tokenizer tokenizer = Tokenizer::load(test::tiny("st_mean_norm"), {});
  const int32_t id = tokenizer.encode("cat").ids.at(1);
  const auto damage = [&](const char* model) {
    return test::changed_copy(test::tiny(model), folder / model, [&](test::RawTensors& tensors) {
      const auto found = std::ranges::find_if(
          tensors, [](const auto& t) { return t.first.ends_with("word_embeddings.weight"); });
      std::vector<float> values = test::floats(found->second);
      values[static_cast<size_t>(id) * 32] = std::numeric_limits<float>::quiet_NaN();
      found->second = test::float_tensor(found->second.shape, values);
    });
  };
  // Texts are tokenized 2048 at a time and sorted by length: the order in a batch differs from the input's.
  std::vector<std::string> texts(2100, "the road");
  texts[2060] = "the cat was late and so was the road";
  for (const EngineKind engine : engines()) {
    fs::remove_all(folder / "st_mean_norm");
    const Encoder encoder = Encoder::load(damage("st_mean_norm"), {.engine = engine});
    EXPECT_THAT(test::error_text([&] { encoder.embed(texts, {.first_text = 10000}); }, ErrorCode::numeric),
                HasSubstr("text 12061: NaN in the sentence vector"));
    fs::remove_all(folder / "bert_ner");
    const Encoder tagger = Encoder::load(damage("bert_ner"), {.engine = engine});
    const std::vector<std::string> some{"the road and the road", "the cat", "late"};
    EXPECT_THAT(test::error_text([&] { tagger.score_tokens(some); }, ErrorCode::numeric),
                HasSubstr("text 2, token 0: NaN in the logits"));
    // Several runs of a text: its own number counts.
    fs::remove_all(folder / "distilbert_nli");
    const Encoder classifier = Encoder::load(damage("distilbert_nli"), {.engine = engine});
    const std::vector<std::string> labels{"late", "road"};
    EXPECT_THAT(test::error_text([&] { classifier.zero_shot(some, labels); }, ErrorCode::numeric),
                HasSubstr("text 2: NaN in the logits"));
    ZeroShotOptions second_window;
    second_window.first_text = 4096;
    EXPECT_THAT(
        test::error_text([&] { classifier.zero_shot(some, labels, second_window); }, ErrorCode::numeric),
        HasSubstr("text 4098: NaN in the logits"));
    const std::vector<TextInput> pairs{{"late", "the road"}, {"the road", "the cat"}, {"late", std::nullopt}};
    EXPECT_THAT(test::error_text([&] { classifier.classify(pairs); }, ErrorCode::numeric),
                HasSubstr("text 2: NaN in the logits"));
  }
}

}  // namespace
}  // namespace mlxe::empty_text_test
