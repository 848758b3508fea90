// Token classification from text to entity, for every kind of tokenizer and for long texts, beside what transformers'
// pipeline gives (tests/tag_goldens.h).
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <set>
#include <utility>

#include "engine_mlx/mlx_engine.h"
#include "golden.h"
#include "mlx_encoder/encoder.h"
#include "tag_goldens.h"

namespace mlxe::tag_test {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using Scored = std::vector<std::vector<TokenScores>>;

std::vector<std::string> strings(const char* key) {
  return test::tag_goldens().at(key).get<std::vector<std::string>>();
}

std::vector<std::vector<std::string>> sentences() {
  return test::tag_goldens().at("sentences").get<std::vector<std::vector<std::string>>>();
}

std::vector<EngineKind> engines() {
  return mlx_status().available ? std::vector{EngineKind::cpu, EngineKind::mlx}
                                : std::vector{EngineKind::cpu};
}

// A softmax changes by at most half of what its logits change by: p(1 - p) times twice the largest change. Logits have
// the error of a model's outputs (golden.h) relative to the largest. The golden has six digits.
double tolerance(const json& model) {
  return 0.5 * test::kParityTolerance * model.at("largest").get<double>() + 5e-7;
}

// What differs from the golden, in one line; empty if nothing does.
std::string differences(const json& model, const std::vector<Entity>& found, const json& expected) {
  const auto spelled = [](const std::string& label, int begin, int end) {
    return fmt::format("{} {}-{}; ", label, begin, end);
  };
  std::string ours, theirs;
  bool same = found.size() == expected.size();
  for (const Entity& e : found) ours += spelled(e.label, e.begin, e.end);
  for (const json& e : expected) theirs += spelled(e.at(0), e.at(2), e.at(3));
  if (ours != theirs) return fmt::format("found {}expected {}", ours, theirs);
  for (size_t i = 0; same && i < found.size(); ++i)
    if (!(std::abs(found[i].score - expected[i].at(1).get<double>()) <= tolerance(model)))
      return fmt::format("{}: score {}, expected {}", found[i].label, found[i].score,
                         expected[i].at(1).get<double>());
  return "";
}

class Tag : public ::testing::Test {
 protected:
  Encoder load(const json& model, EngineKind engine = EngineKind::cpu) {
    const std::filesystem::path folder = parent_ / model.at("name").get<std::string>();
    if (!std::filesystem::exists(folder)) test::tag_folder(model, parent_.path());
    return Encoder::load(
        folder, {.engine = engine, .activations = Activations::float32, .embeds = false, .warning = {}});
  }

  test::TemporaryFolder parent_;
};

// Number of texts whose entities are not the golden's.
int wrong_entities(const json& model, const Encoder& encoder, const Scored& tokens,
                   const char* only = nullptr, bool report = true) {
  int wrong = 0;
  for (const auto& [aggregation, expected] : model.at("entities").items()) {
    if (only != nullptr && aggregation != only) continue;
    for (size_t i = 0; i < tokens.size(); ++i) {
      const std::string d =
          differences(model, entities(tokens[i], encoder.info().token_labels, parse_aggregation(aggregation)),
                      expected[i]);
      wrong += !d.empty();
      if (report) {
        EXPECT_EQ(d, "") << model.at("name") << ' ' << aggregation << " text " << i;
      }
    }
  }
  return wrong;
}

TEST_F(Tag, EntitiesAreThoseOfThePipelineForEveryTokenizer) {
  const std::vector<json> models = test::tag_models("entities");
  EXPECT_THAT(models, SizeIs(7));
  for (const EngineKind engine : engines())
    for (const json& model : models) {
      const Encoder encoder = load(model, engine);
      const Scored tokens = encoder.score_tokens(strings("texts"));
      wrong_entities(model, encoder, tokens);
      if (engine == EngineKind::mlx) continue;
      // The twins: other words and scores are seen.
      Scored apart = tokens, shifted = tokens;
      for (auto& text : apart)
        for (TokenScores& t : text) t.continues_word = false;
      for (auto& text : shifted)
        for (TokenScores& t : text)
          for (float& score : t.scores) score += static_cast<float>(3 * tolerance(model));
      for (const char* by : {"first", "average", "max"})
        EXPECT_GT(wrong_entities(model, encoder, apart, by, false), 3) << model.at("name") << by;
      EXPECT_EQ(wrong_entities(model, encoder, apart, "simple", false), 0);
      EXPECT_GT(wrong_entities(model, encoder, shifted, "simple", false), 3);
    }
}

// Number of (stride, text) with entities that are not the golden's.
int wrong_windows(const json& model, const Encoder& encoder, int64_t more = 0, bool report = true) {
  int wrong = 0;
  for (const json& c : model.at("windows")) {
    const auto tokens =
        encoder.score_tokens(strings("long_texts"), {.stride = c.at("stride").get<int64_t>() + more});
    for (size_t i = 0; i < tokens.size(); ++i) {
      // The pipeline gives an entity without characters once for each window that sees it, and the first one twice.
      json expected = json::array();
      std::set<std::pair<int, int>> empty;
      const bool windows = !tokens[i].empty() && tokens[i].back().window > 0;
      for (const json& e : c.at("entities").at(i))
        if (!windows || e.at(2) != e.at(3) || empty.emplace(e.at(2), e.at(3)).second) expected.push_back(e);
      const std::string d = differences(model,
                                        entities(tokens[i], encoder.info().token_labels,
                                                 parse_aggregation(c.at("strategy").get<std::string>())),
                                        expected);
      wrong += !d.empty();
      if (report) {
        EXPECT_EQ(d, "") << model.at("name") << ' ' << c.at("stride") << c.at("strategy") << " text " << i;
      }
    }
  }
  return wrong;
}

TEST_F(Tag, WindowsAreThoseOfThePipeline) {
  const std::vector<json> models = test::tag_models("windows");
  EXPECT_THAT(models, SizeIs(8));
  for (const EngineKind engine : engines())
    for (const json& model : models) {
      const Encoder encoder = load(model, engine);
      wrong_windows(model, encoder);
      if (engine == EngineKind::mlx) continue;
      EXPECT_GT(wrong_windows(model, encoder, 1, false), 2) << "the twin";
    }
}

// With windows every token of the text is there, each window is the text of its own, and what fits is as without.
TEST_F(Tag, WindowsHoldEveryToken) {
  for (const json& model : test::tag_models("windows")) {
    const bool from_end = model.at("name") == "wordpiece_left";
    const Encoder encoder = load(model);
    const std::vector<std::string> texts = strings("long_texts");
    CallReport cut, whole;
    const Scored plain = encoder.score_tokens(texts, {.report = &cut});
    for (const int64_t stride : {0, 1, 7, 37}) {
      const Scored tokens = encoder.score_tokens(texts, {.stride = stride, .report = &whole});
      for (size_t i = 0; i < texts.size(); ++i) {
        std::map<int32_t, std::pair<int32_t, int32_t>> all;
        std::map<int32_t, std::vector<int32_t>> windows;
        for (const TokenScores& t : tokens[i]) {
          const auto [at, fresh] = all.emplace(t.index, std::pair(t.begin, t.end));
          // The first token of a window keeps the space before it, if the tokenizer adds one to a text.
          EXPECT_LE(std::abs(at->second.first - t.begin), 1) << model.at("name") << t.index;
          EXPECT_LE(std::abs(at->second.second - t.end), 1) << model.at("name") << t.index;
          windows[t.window].push_back(t.index);
        }
        if (all.empty()) continue;
        const auto count = static_cast<int32_t>(all.size());
        EXPECT_EQ(all.rbegin()->first, count - 1) << "none is missing";
        EXPECT_EQ(windows.size() > 1, count > 38) << model.at("name");
        for (const auto& [window, indices] : windows) {
          EXPECT_EQ(indices.back() - indices.front() + 1, static_cast<int32_t>(indices.size()));
          if (static_cast<size_t>(window) + 1 == windows.size()) continue;
          EXPECT_THAT(indices, SizeIs(38));
          const std::vector<int32_t>& next = windows.at(window + 1);
          const auto common = from_end ? next.back() - indices.front() : indices.back() - next.front();
          EXPECT_EQ(common + 1, stride) << model.at("name");
        }
        // What a text without windows has is the first window, to the bit.
        for (size_t t = 0; t < plain[i].size(); ++t) EXPECT_EQ(plain[i][t].scores, tokens[i][t].scores);
        const Scored alone = encoder.score_tokens(std::vector{texts[i]}, {.stride = stride});
        ASSERT_EQ(alone[0].size(), tokens[i].size());
        for (size_t t = 0; t < alone[0].size(); ++t) EXPECT_EQ(alone[0][t].scores, tokens[i][t].scores);
      }
    }
    EXPECT_THAT(cut.truncated, SizeIs(2));
    EXPECT_THAT(whole.truncated, IsEmpty());
    EXPECT_THAT(whole.warnings, IsEmpty());
  }
}

TEST_F(Tag, AStrideBelowAWindowIsAsked) {
  const Encoder encoder = load(test::tag_models("windows")[0]);
  const std::vector<std::string> texts{"The cat sat."};
  for (const int64_t stride : {38, 39, 40, 1000})
    EXPECT_THAT(
        test::error_text([&] { encoder.score_tokens(texts, {.stride = stride}); }, ErrorCode::usage),
        AllOf(HasSubstr(fmt::format("stride of {}", stride)), HasSubstr("38"), Not(HasSubstr("text 1"))));
  EXPECT_THAT(test::error_text([&] { encoder.score_tokens(texts, {.stride = -1}); }, ErrorCode::usage),
              HasSubstr("stride: found -1, expected at least 0"));
  EXPECT_NO_THROW(encoder.score_tokens(texts, {.stride = 37}));
  test::error_text([&] { encoder.score_tokens({}, {.stride = 38}); }, ErrorCode::usage);
  EXPECT_THAT(encoder.score_tokens({}, {.stride = 3}), IsEmpty());
}

TEST_F(Tag, NotJoinedEachTokenOfWindowsIsTheOneFarthestFromACut) {
  const std::vector<std::string> labels{"O", "B-a", "B-b", "B-c"};
  std::vector<TokenScores> tokens;
  const auto window = [&](int32_t number, int32_t begin, int32_t end, size_t label) {
    for (int32_t i = begin; i < end; ++i) {
      TokenScores t{
          .begin = i, .end = i + 1, .scores = std::vector<float>(4, 0.1f), .window = number, .index = i};
      t.scores[label] = 0.7f;
      tokens.push_back(t);
    }
  };
  window(0, 0, 6, 1);
  window(1, 3, 9, 2);
  window(2, 6, 10, 3);
  const auto spelled = [&] {
    std::string text;
    for (const Entity& e : entities(tokens, labels, Aggregation::none))
      text += fmt::format("{}{} ", e.begin, e.label);
    return text;
  };
  // Token 4 is one from both cuts; 7 as well.
  EXPECT_EQ(spelled(), "0B-a 1B-a 2B-a 3B-a 4B-a 5B-b 6B-b 7B-b 8B-c 9B-c ");
  std::ranges::reverse(tokens);  // windows from the end of the text
  for (TokenScores& t : tokens) t.window = 2 - t.window;
  std::ranges::sort(tokens, {}, [](const TokenScores& t) { return std::pair(t.window, t.index); });
  EXPECT_EQ(spelled(), "0B-a 1B-a 2B-a 3B-a 4B-b 5B-b 6B-b 7B-c 8B-c 9B-c ");

  // What is outside there is no entity, whatever another window says.
  for (const json& model : test::tag_models("windows")) {
    const Encoder encoder = load(model);
    const auto scored = encoder.score_tokens(strings("long_texts"), {.stride = 7});
    for (const auto& text : scored) {
      const auto found = entities(text, encoder.info().token_labels, Aggregation::none);
      std::set<int32_t> indices;
      for (const TokenScores& t : text) indices.insert(t.index);
      EXPECT_LE(found.size(), indices.size());
      EXPECT_EQ(found.empty(), indices.empty());
    }
  }
}

TEST_F(Tag, AnEntityWithoutCharactersIsOneOfAllWindows) {
  const std::vector<std::string> labels{"O", "B-a"};
  std::vector<TokenScores> tokens;
  for (const int32_t window : {0, 1})
    tokens.push_back(
        {.begin = 3, .end = 3, .scores = {0, 0.5f + 0.25f * window}, .window = window, .index = 0});
  const auto found = entities(tokens, labels, Aggregation::simple);
  ASSERT_THAT(found, SizeIs(1));
  EXPECT_EQ(found[0].score, 0.75f);
}

// The tag of each word; O without scores.
std::vector<std::string> tags(const std::vector<TokenScores>& words, const std::vector<std::string>& labels) {
  std::vector<std::string> all;
  for (const TokenScores& w : words)
    all.push_back(w.scores.empty()
                      ? "O"
                      : labels[static_cast<size_t>(std::ranges::max_element(w.scores) - w.scores.begin())]);
  return all;
}

TEST_F(Tag, AWordHasTheTagOfItsFirstTokenAsWithWordIds) {
  const std::vector<json> models = test::tag_models("words");
  EXPECT_THAT(models, SizeIs(6));
  const std::vector<std::vector<std::string>> all = sentences();
  int others = 0;
  for (const json& model : models) {
    const Encoder encoder = load(model);
    const Scored found = encoder.score_words(all);
    ASSERT_EQ(found.size(), all.size());
    for (size_t s = 0; s < found.size(); ++s)
      EXPECT_EQ(tags(found[s], encoder.info().token_labels),
                model.at("words").at(s).get<std::vector<std::string>>())
          << model.at("name") << ' ' << s;
    // The twin: the last token of a word has another tag.
    std::string text;
    for (const std::string& word : all[1]) text += (text.empty() ? "" : " ") + word;
    const Scored tokens = encoder.score_tokens(std::vector{text});
    for (size_t w = 0; w < all[1].size(); ++w) {
      const int32_t end = w + 1 < all[1].size() ? found[1][w + 1].begin : INT32_MAX;
      const auto last = std::find_if(tokens[0].rbegin(), tokens[0].rend(),
                                     [&](const TokenScores& t) { return t.begin < end; });
      ASSERT_NE(last, tokens[0].rend());
      others += tags({*last}, encoder.info().token_labels)[0] != model.at("words").at(1).at(w);
    }
  }
  EXPECT_GT(others, 10);
}

TEST_F(Tag, WordsThatAreCutOffHaveNoScores) {
  const Encoder encoder = load(test::tag_models("words")[0]);
  CallReport report;
  const std::vector<std::vector<std::string>> long_one{std::vector<std::string>(60, "cat"), {}, {"", "the"}};
  const Scored found = encoder.score_words(long_one, {.report = &report});
  ASSERT_THAT(found, SizeIs(3));
  EXPECT_EQ(std::ranges::count_if(found[0], [](const TokenScores& t) { return !t.scores.empty(); }), 38);
  EXPECT_THAT(found[1], IsEmpty());
  EXPECT_THAT(found[2][0].scores, IsEmpty());
  EXPECT_THAT(found[2][1].scores, SizeIs(5));
  ASSERT_THAT(report.truncated, SizeIs(1));
  EXPECT_EQ(report.truncated[0].dropped, 22);
}

// Tokens of one character share its code point, and offsets count code points.
TEST_F(Tag, SeveralTokensOfOneCharacterHaveItsCodePoint) {
  for (const json& model : test::tag_models("entities")) {
    if (model.at("folder") != "roberta_ner") continue;
    const auto tokens = load(model).score_tokens(std::vector<std::string>{"🚢船a"}).at(0);
    std::map<std::pair<int32_t, int32_t>, int> count;
    for (const TokenScores& t : tokens) ++count[{t.begin, t.end}];
    EXPECT_GE((count[{0, 1}]), 4);
    EXPECT_GE((count[{1, 2}]), 3);
    EXPECT_EQ((count[{2, 3}]), 1);
  }
}

}  // namespace
}  // namespace mlxe::tag_test
