// The public API from text to result against the goldens: token ids, prompts, pooling, labels, probabilities.
#include "mlx_encoder/encoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "golden.h"
#include "test_files.h"

namespace mlxe {
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
  return {v.rows, v.columns, v.values};
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
  // A softmax or sigmoid changes by less than the logits do, and those by up to the tolerance times the
  // largest.
  double largest = 1;
  for (float value : logits.values) largest = std::max<double>(largest, std::abs(value));
  expect_close(test::difference(group + "probabilities", scores, golden.matrix(group + "probabilities")),
               test::kParityTolerance * largest);
}

class TinyEncoder : public ::testing::TestWithParam<const char*> {};

TEST_P(TinyEncoder, GoesFromTextToResultAsTheOriginalDoes) {
  const std::filesystem::path folder = test::kTinyFolders / GetParam();
  const Golden golden(folder);
  const Encoder encoder = load(folder);
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

INSTANTIATE_TEST_SUITE_P(Models, TinyEncoder, ::testing::ValuesIn(test::kTinyNames),
                         [](const auto& parameters) { return std::string(parameters.param); });

TEST(EncoderInfo, LabelsComeFromTheConfig) {
  EXPECT_THAT(load(test::kTinyFolders / "bert_prefix").info().labels,
              ::testing::ElementsAre("calm", "windy", "stormy"));
  EXPECT_THAT(load(test::kTinyFolders / "bert").info().labels, ::testing::IsEmpty());
}

// Against transformers' zero-shot-classification pipeline.
TEST(ZeroShot, EqualsTransformers) {
  const std::filesystem::path folder = test::kTinyFolders / "distilbert_nli";
  const Encoder encoder = load(folder);
  int cases = 0;
  for (const json& c : read_json(folder / "zero_shot.json")) {
    const std::vector<std::string> text{c.at("text")}, labels = strings(c.at("labels"));
    const auto scores = encoder.zero_shot(
        text, labels, {.hypothesis_template = c.at("template"), .multi_label = c.at("multi_label")});
    ASSERT_EQ(scores.size(), 1u);
    ASSERT_EQ(scores[0].size(), labels.size());
    for (size_t i = 0; i < labels.size(); ++i)  // rounded to 7 places in the file
      EXPECT_NEAR(scores[0][i], c.at("scores").at(i).get<double>(), test::kParityTolerance) << c;
    ++cases;
  }
  EXPECT_EQ(cases, 4);
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
}  // namespace mlxe
