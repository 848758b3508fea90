// Rerankers that are language models, beside what sentence-transformers' CrossEncoder and the code of Qwen3-Reranker's
// model card give for the same folder (tests/data/tiny/qwen3_rerank, made by tools/make_model_goldens.py).
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "golden.h"
#include "mlx_encoder/convert.h"
#include "mlx_encoder/encoder.h"
#include "model_folders.h"

namespace mlxe::language_model_reranker_test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Of a score: kParityTolerance of a logit, which is below 10 here; a sigmoid is at most a quarter as steep.
constexpr double kScoreTolerance = 2.5e-5;
constexpr double kLogitTolerance = 1e-4;

const json& golden() {
  static const json all = read_json(test::tiny("qwen3_rerank") / "rerank.json");
  return all;
}

class LanguageModelReranker : public ::testing::TestWithParam<const char*> {
 protected:
  const std::string query_ = golden().at("query"), instruction_ = golden().at("instruction");
  const std::vector<std::string> documents_ = golden().at("documents");
  test::TemporaryFolder parent_;
  test::Heard heard_;

  // As Qwen publishes it: no files of sentence-transformers, and a template that knows no query and no document.
  fs::path published() const {
    const fs::path folder = parent_ / "published";
    fs::copy(test::tiny("qwen3_rerank"), folder, fs::copy_options::recursive);
    for (const char* file :
         {"modules.json", "sentence_bert_config.json", "config_sentence_transformers.json", "1_LogitScore"})
      fs::remove_all(folder / file);
    test::write_file(
        folder / "chat_template.jinja",
        "{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}{% endif %}{% endfor %}");
    return folder;
  }
  Encoder load(const fs::path& folder) {
    heard_.sentences.clear();
    return Encoder::load(folder,
                         {.engine = std::string(GetParam()) == "mlx" ? EngineKind::mlx : EngineKind::cpu,
                          .activations = Activations::float32,
                          .embeds = false,
                          .warning = heard_.warning()});
  }
  void expect_ranking(const std::vector<RankedDocument>& found, const json& expected,
                      double tolerance) const {
    ASSERT_EQ(found.size(), expected.size());
    for (size_t i = 0; i < found.size(); ++i) {
      EXPECT_EQ(found[i].index, expected[i][0].get<size_t>()) << i;
      EXPECT_NEAR(found[i].score, expected[i][1].get<double>(), tolerance) << i;
    }
  }
  // `expected`: in the order of the documents.
  void expect_scores(const Encoder& encoder, const json& expected, const RerankOptions& options = {}) const {
    std::vector<RankedDocument> found = encoder.rerank(query_, documents_, options);
    std::ranges::sort(found, {}, &RankedDocument::index);
    ASSERT_EQ(found.size(), expected.size());
    for (size_t i = 0; i < found.size(); ++i)
      EXPECT_NEAR(found[i].score, expected[i].get<double>(), kScoreTolerance) << i;
  }
};

INSTANTIATE_TEST_SUITE_P(Models, LanguageModelReranker, ::testing::Values("cpu", "mlx"),
                         [](const auto& parameters) { return std::string(parameters.param); });

#define SKIP_WITHOUT_ENGINE() \
  if (std::string why; !test::make_engine(GetParam(), why)) GTEST_SKIP() << why

// The last document is truncated, and two are alike.
TEST_P(LanguageModelReranker, RanksAsCrossEncoder) {
  SKIP_WITHOUT_ENGINE();
  const Encoder encoder = load(test::tiny("qwen3_rerank"));
  CallReport report;
  expect_ranking(encoder.rerank(query_, documents_, {.report = &report}), golden().at("rank"),
                 kScoreTolerance);
  EXPECT_THAT(report.warnings, Contains(HasSubstr("text 6: truncated to 480 tokens")));
  ASSERT_EQ(report.truncated.size(), 1u);
  EXPECT_EQ(report.truncated[0].text, 5u);
  expect_ranking(encoder.rerank(query_, documents_, {.instruction = instruction_}), golden().at("instructed"),
                 kScoreTolerance);
  expect_ranking(encoder.rerank(query_, documents_, {.raw = true}), golden().at("raw"), kLogitTolerance);
  EXPECT_THAT(heard_.sentences, ::testing::Each(HasSubstr("truncated"))) << "the files say all";
  EXPECT_THAT(encoder.info().labels, ElementsAre("yes"));
}

TEST_P(LanguageModelReranker, ScoresAsTheModelCard) {
  SKIP_WITHOUT_ENGINE();
  const Encoder encoder = load(published());
  expect_scores(encoder, golden().at("card"));
  EXPECT_THAT(heard_.sentences, Contains(HasSubstr("no modules.json says that the model is a reranker")));
  EXPECT_THAT(heard_.sentences, Contains(HasSubstr("Qwen3-Reranker's model card was assumed")));
  expect_scores(encoder, golden().at("card_instructed"), {.instruction = instruction_});
}

TEST_P(LanguageModelReranker, TheTableOfWordsIsTheOutputMatrixWhereTied) {
  SKIP_WITHOUT_ENGINE();
  const fs::path folder = test::changed_copy(published(), parent_ / "tied",
                                             [](test::RawTensors& t) { t.erase("lm_head.weight"); });
  test::change_config(folder, [](json& c) { c["tie_word_embeddings"] = true; });
  expect_scores(load(folder), golden().at("card_tied"));
}

TEST_P(LanguageModelReranker, OneAnswerIsItsLogit) {
  SKIP_WITHOUT_ENGINE();
  const fs::path folder = parent_ / "one";
  fs::copy(test::tiny("qwen3_rerank"), folder, fs::copy_options::recursive);
  json score = read_json(folder / "1_LogitScore/config.json");
  score["false_token_id"] = nullptr;
  test::write_file(folder / "1_LogitScore/config.json", score.dump());
  expect_ranking(load(folder).rerank(query_, documents_, {.raw = true}), golden().at("yes_alone"),
                 kLogitTolerance);
}

TEST_P(LanguageModelReranker, ABatchGivesTheBitsOfSinglePairs) {
  SKIP_WITHOUT_ENGINE();
  if (std::string(GetParam()) == "mlx") GTEST_SKIP() << "batches are padded there";
  const Encoder encoder = load(test::tiny("qwen3_rerank"));
  std::vector<TextInput> pairs;
  for (const std::string& d : documents_) pairs.push_back({query_, d});
  const std::vector<float> together = encoder.relevance(pairs);
  for (size_t i = 0; i < pairs.size(); ++i)
    EXPECT_EQ(encoder.relevance(std::span(pairs).subspan(i, 1))[0], together[i]) << i;
}

// As tomaarsen/Qwen3-Reranker-0.6B-seq-cls was made: the score's row is that of "yes" less that of "no".
TEST_P(LanguageModelReranker, ASequenceClassifierOfTheSameAnswersGivesTheSameScores) {
  SKIP_WITHOUT_ENGINE();
  const fs::path folder = test::changed_copy(published(), parent_ / "classifier", [](test::RawTensors& t) {
    const std::vector<float> words = test::floats(t.at("lm_head.weight"));
    std::vector<float> row(32);
    for (size_t i = 0; i < row.size(); ++i) row[i] = words[307 * 32 + i] - words[308 * 32 + i];
    test::RawTensor score = t.at("lm_head.weight");
    score.shape = {1, 32};
    score.data.resize(row.size() * sizeof(float));
    std::memcpy(score.data.data(), row.data(), score.data.size());
    t.erase("lm_head.weight");
    t["score.weight"] = score;
  });
  test::change_config(folder, [](json& c) {
    c["architectures"] = {"Qwen3ForSequenceClassification"};
    c["id2label"] = {{"0", "LABEL_0"}};
  });
  const Encoder encoder = load(folder);
  expect_scores(encoder, golden().at("card_instructed"), {.instruction = instruction_});
  // Without an instruction, texts are joined as they are, and that is said.
  heard_.sentences.clear();
  encoder.rerank(query_, std::vector<std::string>{"a"});
  EXPECT_THAT(heard_.sentences, Contains(HasSubstr("they are joined as they are")));
  const std::vector<TextInput> pair{{query_, "a"}}, joined{{query_ + "a", std::nullopt}};
  EXPECT_EQ(encoder.classify(pair)[0].logits, encoder.classify(joined)[0].logits);
}

// The converted folder and the floats that its codes stand for are one model.
TEST_P(LanguageModelReranker, ConvertedItStillRanks) {
  SKIP_WITHOUT_ENGINE();
  for (const int bits : {8, 4}) {
    const fs::path out = parent_ / fmt::format("q{}", bits), floats = parent_ / fmt::format("f{}", bits);
    convert(
        {.model = test::tiny("qwen3_rerank"), .output = out, .scheme = {Mode::affine, bits, 32, Dtype::f32}});
    dequantize_model({.model = out, .output = floats});
    const Encoder quantized = load(out);
    EXPECT_THAT(heard_.sentences, IsEmpty());
    const auto found = quantized.rerank(query_, documents_),
               expected = load(floats).rerank(query_, documents_);
    for (size_t i = 0; i < found.size(); ++i)
      EXPECT_NEAR(found[i].score, expected[i].score, kScoreTolerance) << bits;
    EXPECT_NE(found[0].score, golden().at("rank")[0][1].get<float>()) << "it is quantized";
  }
}

// The twin of the goldens: other answers, another end of the template and another instruction are noticed.
TEST_P(LanguageModelReranker, DamageIsNoticed) {
  SKIP_WITHOUT_ENGINE();
  const auto differs = [&](const fs::path& folder, const RerankOptions& options = {}) {
    const auto found = load(folder).rerank(query_, documents_, options);
    double largest = 0;
    for (const RankedDocument& d : found)
      largest = std::max(largest, std::abs(d.score - golden().at("card")[d.index].get<double>()));
    return largest > kScoreTolerance;
  };
  const fs::path folder = test::tiny("qwen3_rerank");
  EXPECT_FALSE(differs(folder));
  EXPECT_TRUE(differs(folder, {.instruction = instruction_}));
  fs::copy(folder, parent_ / "swapped", fs::copy_options::recursive);
  test::write_file(parent_ / "swapped/1_LogitScore/config.json",
                   R"({"true_token_id": 308, "false_token_id": 307, "module_input_name": "causal_logits"})");
  EXPECT_TRUE(differs(parent_ / "swapped"));
  fs::copy(folder, parent_ / "shorter", fs::copy_options::recursive);
  const std::string chat = test::read_file(folder / "chat_template.jinja");
  test::write_file(parent_ / "shorter/chat_template.jinja", chat.substr(0, chat.find("</think>")));
  EXPECT_TRUE(differs(parent_ / "shorter"));
}

TEST_P(LanguageModelReranker, RefusesWhatItCannotRank) {
  SKIP_WITHOUT_ENGINE();
  const Encoder encoder = load(test::tiny("qwen3_rerank"));
  const auto said = [&](auto&& action, ErrorCode code) { return test::error_text(action, code); };
  EXPECT_THAT(said(
                  [&] {
                    encoder.classify(std::vector<TextInput>{{"alone", std::nullopt}});
                  },
                  ErrorCode::usage),
              HasSubstr("text 1: found one text, expected a query and a document"));
  EXPECT_THAT(said(
                  [&] {
                    encoder.rerank(query_, std::vector<std::string>{"a", "b\xff"});
                  },
                  ErrorCode::format),
              HasSubstr("text 2: second text is not UTF-8 at byte 1"));
  EXPECT_THAT(said(
                  [&] {
                    load(test::tiny("xlm_roberta_cls"))
                        .rerank("q", std::vector<std::string>{"d"}, {.instruction = "x"});
                  },
                  ErrorCode::usage),
              HasSubstr("takes no instruction"));
  const Encoder narrow =
      Encoder::load(test::tiny("qwen3_rerank"), {.engine = EngineKind::cpu, .max_length = 4});
  EXPECT_THAT(said([&] { narrow.rerank(query_, std::vector<std::string>{"a"}); }, ErrorCode::usage),
              HasSubstr("found a limit of 4 tokens, expected more than"));
  for (const auto& [file, text, code, expected] :
       {std::tuple("1_LogitScore/config.json", R"({"true_token_id": 999})", ErrorCode::format,
                   R"(expected ids below "vocab_size" 314)"),
        std::tuple("1_LogitScore/config.json", R"({"true_token_id": -1})", ErrorCode::format,
                   "expected a token's id"),
        std::tuple("1_LogitScore/config.json", R"({"true_token_id": 1, "scale": 2})", ErrorCode::unsupported,
                   "scale"),
        std::tuple("chat_template.jinja",
                   "{{ messages[0].content }}{{ messages[1].content }}{% if messages[1].content"
                   "|length > 7 %}{{ 1 / 0 }}{% endif %}",
                   ErrorCode::format, "chat_template.jinja")}) {
    const fs::path folder = parent_ / "broken";
    fs::remove_all(folder);
    fs::copy(test::tiny("qwen3_rerank"), folder, fs::copy_options::recursive);
    test::write_file(folder / file, text);
    EXPECT_THAT(said([&, f = folder] { load(f).rerank(query_, documents_); }, code), HasSubstr(expected))
        << text;
  }
  // A template without an end is not waited for: it carries no pair, so that of the model card stands in.
  fs::copy(test::tiny("qwen3_rerank"), parent_ / "endless", fs::copy_options::recursive);
  test::write_file(parent_ / "endless/chat_template.jinja",
                   "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}");
  expect_scores(load(parent_ / "endless"), golden().at("card"));
  // Nor does one whose expression is deep, or that is very long, and the message has the reason.
  std::string deep = "{{ 1";
  for (int i = 0; i < 60'000; ++i) deep += "+1";
  for (const auto& [text, why] : {std::pair(deep + " }}", "leaves out a query"),
                                  std::pair(std::string(200'000, 'x'), "expected at most 131072"),
                                  std::pair(std::string("{% while"), "syntax error")}) {
    test::write_file(parent_ / "endless/chat_template.jinja", text);
    std::string heard;
    const Encoder of_card = Encoder::load(
        parent_ / "endless",
        {.engine = EngineKind::cpu, .warning = [&](std::string_view sentence) { heard += sentence; }});
    of_card.rerank(query_, documents_);
    EXPECT_THAT(heard, HasSubstr(why));
  }
}

}  // namespace
}  // namespace mlxe::language_model_reranker_test
