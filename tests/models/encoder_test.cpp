// The public API from text to result against the goldens: token ids, prompts, pooling, labels, probabilities.
#include "mlx_encoder/encoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <barrier>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "golden.h"
#include "resident_memory.h"
#include "sanitizers.h"
#include "test_files.h"

namespace mlxe::encoder_test {
namespace {

using nlohmann::json;
using test::Difference;
using test::Golden;

json read_json(const std::filesystem::path& file) {
  return json::parse(test::read_file(file));
}

Encoder load(const std::filesystem::path& folder, EngineKind engine = EngineKind::cpu) {
  return Encoder::load(folder, {.engine = engine});
}

std::vector<std::string> strings(const json& list) {
  return list.get<std::vector<std::string>>();
}

std::vector<TextInput> inputs(const json& list) {
  std::vector<TextInput> all;
  for (const json& item : list) {
    if (item.is_string())
      all.push_back({item, std::nullopt});
    else
      all.push_back({item.at(0), item.at(1).get<std::string>()});
  }
  return all;
}

Matrix matrix(const Vectors& v) {
  return {v.rows, v.columns, {v.values.begin(), v.values.end()}};
}

void expect_close(const Difference& d, double allowed = test::kParityTolerance) {
  EXPECT_LE(d.relative, allowed) << d.what << ": " << d.place;
}

void expect_tokens(const Encoder& encoder, const Golden& golden, const std::string& group,
                   const std::vector<TextInput>& texts) {
  const Batch expected = golden.batch(group);
  Batch found;
  for (const TextInput& text : texts) {
    const Tokens tokens = encoder.tokenize(text);
    found.append(tokens.ids, tokens.type_ids);
  }
  EXPECT_EQ(found.offsets, expected.offsets) << group;
  EXPECT_EQ(found.ids, expected.ids) << group;
  EXPECT_EQ(found.token_types, expected.token_types) << group;
}

void expect_predictions(const Encoder& encoder, const Golden& golden, const std::string& group,
                        const std::vector<TextInput>& texts) {
  const Matrix logits = golden.matrix(group + "logits");
  Matrix scores{logits.rows, logits.columns, {}}, found{logits.rows, logits.columns, {}};
  for (const Prediction& p : encoder.classify(texts)) {
    scores.values.insert(scores.values.end(), p.scores.begin(), p.scores.end());
    found.values.insert(found.values.end(), p.logits.begin(), p.logits.end());
    EXPECT_EQ(p.best, std::max_element(p.scores.begin(), p.scores.end()) - p.scores.begin());
  }
  expect_close(test::difference(group + "logits", found, logits));
  // Softmax and sigmoid change less than the logits. The logits change by at most the tolerance times the
  // largest one.
  double largest = 1;
  for (float value : logits.values) largest = std::max<double>(largest, std::abs(value));
  expect_close(test::difference(group + "probabilities", scores, golden.matrix(group + "probabilities")),
               test::kParityTolerance * largest);
}

bool fs_has(const std::filesystem::path& folder, const char* file) {
  return std::filesystem::exists(folder / file);
}

class TinyEncoder : public ::testing::TestWithParam<const char*> {};

TEST_P(TinyEncoder, GoesFromTextToResultAsTheOriginalDoes) {
  const std::filesystem::path folder = test::kTinyFolders / GetParam();
  const Golden golden(folder);
  const Encoder encoder = load(folder);
  // Its texts are rendered by a template, or marked as queries and documents: language_model_reranker_test, late_test.
  if (fs_has(folder, "chat_template.jinja") || encoder.info().late_interaction) return;
  const json texts = read_json(test::kTinyFolders / "texts.json");
  expect_tokens(encoder, golden, "texts.", inputs(texts["texts"]));
  if (golden.has("texts.sentence"))
    expect_close(test::difference("texts.sentence", matrix(encoder.embed(strings(texts["texts"]))),
                                  golden.matrix("texts.sentence")));
  if (golden.has("query.sentence"))
    expect_close(test::difference("query.sentence",
                                  matrix(encoder.embed(strings(texts["texts"]), {.prompt_name = "query"})),
                                  golden.matrix("query.sentence")));
  if (golden.has("texts.logits")) {
    expect_tokens(encoder, golden, "pairs.", inputs(texts["pairs"]));
    expect_predictions(encoder, golden, "texts.", inputs(texts["texts"]));
    expect_predictions(encoder, golden, "pairs.", inputs(texts["pairs"]));
  }
}

// Entities equal those of transformers' token-classification pipeline. The golden has scores rounded to 7
// places.
TEST(Entities, AreThePipelinesForEachAggregation) {
  for (const char* name : {"bert_ner", "distilbert_ner"}) {
    const Encoder encoder = load(test::kTinyFolders / name);
    const std::vector<std::string> texts = strings(read_json(test::kTinyFolders / "texts.json")["texts"]);
    const auto tokens = encoder.score_tokens(texts);
    const json golden = read_json(test::kTinyFolders / name / "entities.json");
    for (const auto& [aggregation, expected] : golden.items())
      for (size_t i = 0; i < texts.size(); ++i) {
        SCOPED_TRACE(fmt::format("{}, {}, text {}", name, aggregation, i));
        const auto found = entities(tokens[i], encoder.info().token_labels, parse_aggregation(aggregation));
        ASSERT_EQ(found.size(), expected[i].size());
        for (size_t k = 0; k < found.size(); ++k) {
          EXPECT_EQ(found[k].label, expected[i][k]["label"]);
          EXPECT_EQ(found[k].begin, expected[i][k]["begin"]);
          EXPECT_EQ(found[k].end, expected[i][k]["end"]);
          EXPECT_NEAR(found[k].score, expected[i][k]["score"], test::kParityTolerance);
        }
      }
  }
}

TEST(Entities, NeighboursAreJoinedUnlessOneBeginsAnew) {
  const std::vector<std::string> labels{"O", "B-a", "I-a", "I-b"};
  const auto token = [](int32_t at, size_t label, bool continues) {
    TokenScores t{.begin = at, .end = at + 1, .continues_word = continues, .scores = {0, 0, 0, 0}};
    t.scores[label] = 0.75f;
    return t;
  };
  // I-a I-a B-a | O | I-b; the last token belongs to the same word as the O
  const std::vector<TokenScores> tokens{token(0, 2, false), token(1, 2, false), token(2, 1, false),
                                        token(3, 0, false), token(4, 3, true)};
  const auto spans = [&](Aggregation aggregation) {
    std::string text;
    for (const Entity& e : entities(tokens, labels, aggregation))
      text += fmt::format("{} {}-{};", e.label, e.begin, e.end);
    return text;
  };
  EXPECT_EQ(spans(Aggregation::none), "I-a 0-1;I-a 1-2;B-a 2-3;I-b 4-5;");
  EXPECT_EQ(spans(Aggregation::simple), "a 0-2;a 2-3;b 4-5;");
  EXPECT_EQ(spans(Aggregation::first), "a 0-2;a 2-3;");
  EXPECT_THAT(test::error_text([] { parse_aggregation("mean"); }, ErrorCode::usage),
              ::testing::HasSubstr("none, simple, first"));
  test::error_text([] { load(test::kTinyFolders / "bert").score_tokens(std::vector<std::string>{"a"}); },
                   ErrorCode::unsupported);
}

// Entities of tokens that are one code point each and have these labels.
std::string spans(const std::vector<std::string>& labels, const std::vector<std::string>& tags,
                  Aggregation aggregation = Aggregation::simple) {
  std::vector<TokenScores> tokens;
  for (const std::string& tag : tags) {
    const auto at = static_cast<int32_t>(tokens.size());
    TokenScores t{.begin = at, .end = at + 1, .scores = std::vector<float>(labels.size())};
    t.scores.at(static_cast<size_t>(std::ranges::find(labels, tag) - labels.begin())) = 0.75f;
    tokens.push_back(t);
  }
  std::string text;
  for (const Entity& e : entities(tokens, labels, aggregation))
    text += fmt::format("{} {}-{};", e.label, e.begin, e.end);
  return text;
}

TEST(Entities, ATypeCalledOIsATypeAndOutsideIsOutside) {
  const std::vector<std::string> labels{"O", "B-O", "I-O", "B-P", "I-P"};
  EXPECT_EQ(spans(labels, {"O", "B-O", "O", "O"}), "O 1-2;");
  EXPECT_EQ(spans(labels, {"O", "I-O", "I-O", "O", "B-P", "I-O"}), "O 1-3;P 4-5;O 5-6;");
  EXPECT_EQ(spans(labels, {"O", "B-O"}, Aggregation::none), "B-O 1-2;");
  EXPECT_EQ(spans(labels, {"O", "O", "O"}), "");
}

TEST(Entities, OfBioesAndBilouEndWhereTheTagSaysSo) {
  for (const auto& [end, alone] : {std::pair("E-", "S-"), std::pair("L-", "U-")}) {
    const std::string e = std::string(end) + "a", s = std::string(alone) + "a";
    const std::vector<std::string> labels{"O", "B-a", "I-a", e, s, "B-b", "I-b"};
    EXPECT_EQ(spans(labels, {"B-a", "I-a", e, "O"}), "a 0-3;");
    EXPECT_EQ(spans(labels, {"B-a", e, "I-a", e}), "a 0-2;a 2-4;") << "nothing joins an end";
    EXPECT_EQ(spans(labels, {s, s, "I-a"}), "a 0-1;a 1-2;a 2-3;");
    EXPECT_EQ(spans(labels, {"I-b", e}), "b 0-1;a 1-2;") << "of two types";
    EXPECT_EQ(spans(labels, {"B-a", e}, Aggregation::none), "B-a 0-1;" + e + " 1-2;");
  }
  // Without B- of the type, the letter belongs to the type. A second "-" belongs to the type, too.
  const std::vector<std::string> labels{"O", "B-E-mail", "I-E-mail", "S-curve", "L-shape"};
  EXPECT_EQ(spans(labels, {"B-E-mail", "I-E-mail", "S-curve", "S-curve", "L-shape"}),
            "E-mail 0-2;S-curve 2-4;L-shape 4-5;");
}

// Each word gets one label first, and ends and singles count as its label says.
TEST(Entities, OfBioesAndBilouByWord) {
  for (const auto& [end, alone] : {std::pair("E-", "S-"), std::pair("L-", "U-")}) {
    const std::vector<std::string> labels{"O", "B-a", "I-a", std::string(end) + "a",
                                          std::string(alone) + "a"};
    enum { kO, kB, kI, kE, kS };
    std::vector<TokenScores> tokens;
    const auto token = [&](bool continues, const std::vector<std::pair<int, float>>& scores) {
      const auto at = static_cast<int32_t>(tokens.size());
      TokenScores t{.begin = at, .end = at + 1, .continues_word = continues, .scores = std::vector<float>(5)};
      for (const auto& [label, score] : scores) t.scores[static_cast<size_t>(label)] = score;
      tokens.push_back(t);
    };
    const auto found = [&](Aggregation aggregation) {
      std::string text;
      for (const Entity& e : entities(tokens, labels, aggregation))
        text += fmt::format("{} {}-{} {:.3f};", e.label, e.begin, e.end, e.score);
      return text;
    };
    token(false, {{kB, 0.6f}, {kI, 0.4f}});  // first B, average I, max I
    token(true, {{kB, 0.1f}, {kI, 0.9f}});
    token(false, {{kE, 0.5f}, {kS, 0.45f}});  // first E, average S, max E
    token(true, {{kE, 0.3f}, {kS, 0.4f}});
    token(false, {{kI, 0.9f}});  // nothing joins an end
    EXPECT_EQ(found(Aggregation::first), "a 0-4 0.550;a 4-5 0.900;");
    EXPECT_EQ(found(Aggregation::average), "a 0-2 0.650;a 2-4 0.425;a 4-5 0.900;");
    EXPECT_EQ(found(Aggregation::max), "a 0-4 0.700;a 4-5 0.900;");
    tokens.clear();
    token(false, {{kS, 0.5f}});  // singles stay apart, whatever stands beside them
    token(false, {{kS, 0.5f}});
    token(false, {{kE, 0.5f}});
    for (const Aggregation by : {Aggregation::first, Aggregation::average, Aggregation::max})
      EXPECT_EQ(found(by), "a 0-1 0.500;a 1-2 0.500;a 2-3 0.500;");
  }
}

TEST(EntitiesShared, OfTheModelWithATypeCalledO) {
  const std::filesystem::path folder = std::filesystem::path(MLXE_SHARED_DIR) / "cases/real-B01/model";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << folder << " is not there";
  const Encoder encoder = load(folder);
  const std::vector<std::string> text{"the cat was home and left"};
  const auto found =
      entities(encoder.score_tokens(text).at(0), encoder.info().token_labels, Aggregation::simple);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].label, "O");
  EXPECT_EQ(
      text[0].substr(static_cast<size_t>(found[0].begin), static_cast<size_t>(found[0].end - found[0].begin)),
      "cat");
}

#ifdef __linux__
// What encoder.h says is kept between calls does not depend on how long they go on. In the warm-up all callers run the
// largest call at once, so that each workspace gets its final size. From then on a call allocates only its own texts,
// tokens and results: kMostTexts texts of up to kMostTokens tokens, of which each takes less than 64 bytes (an id, a
// type, two pairs of offsets, a word, a sequence, four letters). The heap may keep that much for each thread.
TEST(Encoder, MemoryStaysFlatUnderManyCallers) {
  if (test::kSanitized) GTEST_SKIP() << "sanitizers keep freed memory";
  constexpr size_t kCallers = 16, kThreads = 4, kMostTexts = 32, kMostTokens = 40, kCalls = 200;
  constexpr auto kBound = static_cast<int64_t>((kCallers + kThreads) * kMostTexts * kMostTokens * 64);
  const Encoder encoder =
      Encoder::load(test::kTinyFolders / "st_mean_norm", {.engine = EngineKind::cpu, .threads = kThreads});
  const auto texts = [](size_t count, size_t words) {
    std::string text;
    for (size_t i = 0; i + 2 < words; ++i) text += "cat ";  // beside two special tokens
    return std::vector<std::string>(count, text);
  };
  const auto largest = [&](std::mt19937&) { return texts(kMostTexts, kMostTokens); };
  const auto mixed = [&](std::mt19937& random) {
    const size_t count = 1 + random() % kMostTexts;
    return texts(count, 3 + random() % (kMostTokens - 2));
  };
  // Returns by how much the resident memory rose. `keep`: the twin, a leak of each call's vectors.
  const auto rise = [&](size_t calls, const auto& input, bool keep = false) {
    const int64_t before = test::resident_bytes();
    std::barrier together(kCallers);
    std::vector<std::vector<Vectors>> kept(kCallers);
    std::vector<std::thread> callers;
    for (uint32_t t = 0; t < kCallers; ++t)
      callers.emplace_back([&, t] {
        std::mt19937 random(t);
        for (size_t i = 0; i < calls; ++i) {
          if (i < 8) together.arrive_and_wait();
          Vectors vectors = encoder.embed(input(random));
          if (keep) kept[t].push_back(std::move(vectors));
        }
      });
    for (std::thread& t : callers) t.join();
    return test::resident_bytes() - before;
  };
  rise(20, largest);
  rise(kCalls, mixed);
  EXPECT_LE(rise(kCalls, mixed), kBound);
  EXPECT_LE(rise(2 * kCalls, mixed), kBound);
  EXPECT_GT(rise(2 * kCalls, mixed, true), kBound);
}
#endif

INSTANTIATE_TEST_SUITE_P(Models, TinyEncoder, ::testing::ValuesIn(test::kTinyNames),
                         [](const auto& parameters) { return std::string(parameters.param); });

TEST(EncoderInfo, LabelsComeFromTheConfig) {
  EXPECT_THAT(load(test::kTinyFolders / "bert_prefix").info().labels,
              ::testing::ElementsAre("calm", "windy", "stormy"));
  EXPECT_THAT(load(test::kTinyFolders / "bert").info().labels, ::testing::IsEmpty());
}

// Against transformers' zero-shot-classification pipeline.
TEST(ZeroShot, EqualsTransformers) {
  int cases = 0;
  for (const char* model : {"distilbert_nli", "bart_nli"}) {
    const std::filesystem::path folder = test::kTinyFolders / model;
    const Encoder encoder = load(folder);
    for (const json& c : read_json(folder / "zero_shot.json")) {
      const std::vector<std::string> text{c.at("text")}, labels = strings(c.at("labels"));
      const auto scores = encoder.zero_shot(
          text, labels, {.hypothesis_template = c.at("template"), .multi_label = c.at("multi_label")});
      ASSERT_EQ(scores.size(), 1u);
      ASSERT_EQ(scores[0].size(), labels.size());
      for (size_t i = 0; i < labels.size(); ++i)  // rounded to 7 places in the file
        EXPECT_NEAR(scores[0][i], c.at("scores").at(i).get<double>(), test::kParityTolerance) << model << c;
      ++cases;
    }
  }
  EXPECT_EQ(cases, 8);
}

TEST(MiniLmEncoder, EqualsSentenceTransformers) {
  const std::filesystem::path folder = test::minilm_folder();
  if (folder.empty()) GTEST_SKIP() << test::kNoMiniLm;
  const std::filesystem::path data = std::filesystem::path(MLXE_TEST_DATA) / "minilm";
  const Golden golden(data);
  const json texts = read_json(data / "texts.json");
  const Encoder encoder = load(folder);
  EXPECT_EQ(encoder.info().max_tokens, 256);
  expect_tokens(encoder, golden, "texts.", inputs(texts["texts"]));
  expect_close(test::difference("texts.sentence", matrix(encoder.embed(strings(texts["texts"]))),
                                golden.matrix("texts.sentence")));
}

}  // namespace
}  // namespace mlxe::encoder_test
