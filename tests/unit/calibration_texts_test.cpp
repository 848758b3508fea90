// The default calibration text, and the warnings about unsuitable texts.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <random>
#include <set>

#include "base/text.h"
#include "base/thread_pool.h"
#include "base/utf8.h"
#include "calibrate/calibration_texts.h"
#include "model_folders.h"
#include "models/golden.h"

namespace mlxe::calibrate::calibration_texts_test {
namespace {

using test::error_text;
using test::tiny;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr int64_t kWidest = 64;  // of the tiny models

// ---- the default text

TEST(DefaultCalibrationTexts, AreTheLinesOfTheFile) {
  std::string lines;
  for (const TextInput& text : default_calibration_texts())
    lines += text.text + (text.pair ? "\t" + *text.pair : "") + "\n";
  EXPECT_EQ(lines, test::read_file(std::filesystem::path(MLXE_SOURCE_DIR) / "data/calibration.txt"));
}

TEST(DefaultCalibrationTexts, AreManyAndVariedWithoutRepetition) {
  const std::vector<TextInput> texts = default_calibration_texts();
  std::set<std::string> different;
  size_t all = 0, pairs = 0, foreign = 0, longest = 0, shortest = SIZE_MAX;
  const auto look = [&](const std::string& text) {
    ++all;
    different.insert(lowercase(text));
    EXPECT_EQ(first_invalid_utf8(text), kValidUtf8) << text;
    EXPECT_THAT(
        text, Not(AnyOf(testing::StartsWith(" "), testing::EndsWith(" "), HasSubstr("  "), HasSubstr("\t"))));
    const size_t words = static_cast<size_t>(std::ranges::count(text, ' ')) + 1;
    longest = std::max(longest, words);
    shortest = std::min(shortest, words);
    foreign += std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) >= 0x80; });
  };
  for (const TextInput& text : texts) {
    look(text.text);
    if (text.pair) look(*text.pair);
    pairs += text.pair.has_value();
  }
  EXPECT_EQ(different.size(), all);
  EXPECT_GE(texts.size(), 1000u);
  EXPECT_GE(pairs, 300u);
  EXPECT_GE(foreign * 10, all);  // counts accents and other scripts; some other languages have neither
  EXPECT_EQ(shortest, 1u);
  EXPECT_GE(longest, 60u);
}

// With the real vocabulary, and a model wide enough to need many tokens, there are no warnings.
TEST(DefaultCalibrationTexts, SufficeForMiniLM) {
  const std::filesystem::path folder = test::minilm_folder();
  if (folder.empty()) GTEST_SKIP() << test::kNoMiniLm;
  const LoadedModel loaded = load_model(folder, {});
  const TextTokenizer tokenizer(Tokenizer::load(folder, {}), loaded);
  ThreadPool pool(1);
  const Calibration calibration;
  std::string warnings;
  const Batch batch = tokenize(calibration, loaded.model, tokenizer, 4096, pool,
                               [&](std::string_view sentence) { warnings += sentence; });
  EXPECT_THAT(warnings, IsEmpty());
  EXPECT_GE(batch.tokens() - 2 * batch.texts(), 20'000);  // without [CLS] and [SEP]
}

// ---- unsuitable texts

struct Heard {
  std::string warnings;
  Batch batch;
};

Heard tokenized(const Calibration& calibration, const char* model = "bert") {
  const LoadedModel loaded = load_model(tiny(model), {});
  const TextTokenizer tokenizer(Tokenizer::load(tiny(model), {}), loaded);
  ThreadPool pool(1);
  Heard heard;
  heard.batch = tokenize(calibration, loaded.model, tokenizer, kWidest, pool,
                         [&](std::string_view sentence) { heard.warnings += std::string(sentence) + "\n"; });
  return heard;
}

std::string said(const Calibration& calibration, const char* model = "bert") {
  return tokenized(calibration, model).warnings;
}

// A sentence of words that every tiny vocabulary has.
std::string sentence(std::mt19937& generator) {
  static const std::vector<std::string> kWords{"The",  "second", "river", "bridge", "was",  "small",
                                               "rain", "again",  "left",  "letter", "from", "committee"};
  std::string text;
  for (int i = 0; i < 8; ++i) text += (i ? " " : "") + kWords[generator() % kWords.size()];
  return text;
}

Calibration sentences(size_t count = 60) {
  std::mt19937 generator(1);
  Calibration calibration{.built_in = BuiltInText::left_out};
  for (size_t i = 0; i < count; ++i) calibration.texts.push_back({.text = sentence(generator), .pair = {}});
  return calibration;
}

Calibration pairs(size_t count = 60) {
  Calibration calibration = sentences(count);
  std::mt19937 generator(2);
  for (TextInput& text : calibration.texts) text.pair = sentence(generator);
  return calibration;
}

TEST(CalibrationTexts, OfTheRightKindAreNotRemarkedUpon) {
  for (const char* model : {"bert", "distilbert_cls", "xlm_roberta", "bert_ner"})
    EXPECT_THAT(said(sentences(), model), IsEmpty()) << model;
  EXPECT_THAT(said(pairs()), IsEmpty());
  EXPECT_THAT(said(pairs(), "distilbert_nli"), IsEmpty());
}

TEST(CalibrationTexts, APairIsTwoTextsWithoutAClassifier) {
  EXPECT_EQ(tokenized(pairs()).batch.texts(), 120);
  EXPECT_EQ(tokenized(pairs(), "bert_ner").batch.texts(), 120);
  EXPECT_EQ(tokenized(pairs(), "distilbert_nli").batch.texts(), 60);
}

TEST(CalibrationTexts, TooFewAreCountedInTokens) {
  EXPECT_EQ(wanted_tokens(kWidest), 256);
  const std::string few = said(sentences(20));
  EXPECT_THAT(few,
              HasSubstr("found 160 tokens in 20 texts, expected at least 256 for matrices of 64 columns"));
  Calibration limited = sentences();
  limited.limit = 31;
  EXPECT_THAT(said(limited), HasSubstr("found 248 tokens in 31 texts"));
  limited.limit = 32;
  EXPECT_THAT(said(limited), IsEmpty());
}

TEST(CalibrationTexts, NoneAtAllIsAnError) {
  for (const Calibration& calibration :
       {Calibration{.built_in = BuiltInText::left_out}, Calibration{.texts = {{"", {}}, {" \t", {}}}}})
    EXPECT_THAT(error_text([&] { tokenized(calibration); }, ErrorCode::usage),
                HasSubstr(fmt::format("the {} texts hold no tokens; give at least 256 tokens",
                                      calibration.texts.size())));
}

TEST(CalibrationTexts, EmptyOnesAreCountedAndLeftOut) {
  Calibration calibration = sentences();
  calibration.texts[7].text = "";
  calibration.texts[9].text = "  ";
  const Heard heard = tokenized(calibration);
  EXPECT_THAT(heard.warnings, HasSubstr("2 of the 60 texts are empty and left out"));
  EXPECT_EQ(heard.batch.texts(), 58);
  Calibration half = pairs();
  half.texts[3].pair = "";
  EXPECT_THAT(said(half, "distilbert_nli"), HasSubstr("1 of the 60 texts is empty"));
  EXPECT_THAT(said(half), HasSubstr("1 of the 120 texts is empty"));
}

// Empty texts are left out, pairs are two texts, and a limit takes some: the number is that of the given text.
TEST(CalibrationTexts, ErrorsNumberThemAsGiven) {
  const auto error = [](Calibration calibration) {
    return error_text([&] { tokenized(calibration); }, ErrorCode::format);
  };
  Calibration after_empty = sentences();
  after_empty.texts[0].text = after_empty.texts[3].text = "";
  after_empty.texts[8].text = "\xff";
  EXPECT_THAT(error(after_empty), testing::StartsWith("text 9: "));
  after_empty.limit = 29;  // of 58: every second
  EXPECT_THAT(error(after_empty), testing::StartsWith("text 9: "));
  Calibration of_pairs = pairs();
  of_pairs.texts[8].pair = "\xff";
  EXPECT_THAT(error(of_pairs), testing::StartsWith("text 9: "));
}

TEST(CalibrationTexts, LabelsAndNumbersAreNotTakenForTexts) {
  Calibration labels = sentences(), numbers = sentences(), dates = sentences();
  for (size_t i = 0; i < labels.texts.size(); ++i) {
    labels.texts[i].text = std::array{"neutral", "entailment", "contradiction"}[i % 3];
    numbers.texts[i].text = fmt::format("{:.2f}", static_cast<double>(i) / 13);
    dates.texts[i].text += fmt::format(" {}", i);
  }
  EXPECT_THAT(said(labels), HasSubstr("found only 3 different texts among 60 (\"contradiction\", "
                                      "\"entailment\", \"neutral\"), which look like labels"));
  EXPECT_THAT(said(numbers), HasSubstr("60 of the 60 texts are numbers"));
  EXPECT_THAT(said(dates), IsEmpty());
}

TEST(CalibrationTexts, RepeatedOnesAreCounted) {
  Calibration calibration = sentences();
  for (size_t i = 0; i < 31; ++i) calibration.texts[i] = calibration.texts[59];
  EXPECT_THAT(said(calibration),
              HasSubstr("31 of the 60 texts repeat another text: only 29 different texts"));
  calibration.texts[0].text += " again";
  calibration.texts[1].text += " left";
  EXPECT_THAT(said(calibration), IsEmpty());
  // The same text with another second text is another pair.
  Calibration one_premise = pairs();
  for (TextInput& text : one_premise.texts) text.text = "The bridge was small";
  EXPECT_THAT(said(one_premise, "distilbert_nli"), IsEmpty());
}

TEST(CalibrationTexts, AModelOfPairsWantsPairs) {
  EXPECT_THAT(said(sentences(), "distilbert_nli"),
              HasSubstr("the model's labels (entailment, neutral, contradiction) are of pairs, but all 60 "
                        "texts stand alone"));
  Calibration some = sentences();
  some.texts[5].pair = "The rain was small";
  EXPECT_THAT(said(some, "distilbert_nli"), IsEmpty());
  EXPECT_THAT(said(sentences(), "distilbert_cls"), IsEmpty());
}

// Without a limit, the default number of tokens; with one, that many texts of any length.
TEST(CalibrationTexts, ANumberIsMeant) {
  Calibration many = sentences(4000);  // of 8 words
  const Batch some = tokenized(many).batch;
  EXPECT_LE(some.tokens(), most_tokens(kWidest) * 9 / 8);
  EXPECT_GE(some.tokens(), most_tokens(kWidest) * 7 / 8);
  many.limit = 3900;
  const Batch named = tokenized(many).batch;
  EXPECT_EQ(named.texts(), 3900);
  EXPECT_GE(named.tokens(), 3900 * 8);
}

TEST(CalibrationTexts, TruncatedOnesAreCounted) {
  Calibration calibration = sentences();
  for (int i = 0; i < 40; ++i) calibration.texts[11].text += " the river was small again and again";
  EXPECT_THAT(said(calibration), HasSubstr("1 of the 60 texts were truncated to "));
}

TEST(CalibrationTexts, WhatTheVocabularyDoesNotCoverIsMeasured) {
  Calibration unknown = sentences();
  for (size_t i = 0; i < 5; ++i)
    unknown.texts[i].text = "\u0416\u0436 \u0429\u0449 \u042f\u044f \u042e \u0411 \u0426";
  EXPECT_THAT(said(unknown), HasSubstr("30 of the 470 tokens (6 %) are unknown to the model's vocabulary"));
  unknown.texts[0].text = unknown.texts[59].text + " again";  // 24 of 473 are 5.07 %
  unknown.texts[1].text = unknown.texts[58].text + " again";
  EXPECT_THAT(said(unknown), IsEmpty());

  // The tiny vocabularies spell these words; so does BERT's a word in another script.
  Calibration spelled = sentences();
  for (size_t i = 0; i < 60; ++i)
    spelled.texts[i].text = fmt::format("kzvw xq{:c}jv qwz", 'a' + i % 26) + std::to_string(i);
  EXPECT_THAT(said(spelled), AllOf(HasSubstr("100 % of the tokens are of texts that the model's vocabulary "
                                             "spells almost letter by letter (1.0 letters a token)"),
                                   Not(HasSubstr("unknown"))));
}

// The bytes of one Chinese character, split over several tokens, do not count as letters. Otherwise a
// vocabulary of bytes would seem to cover Chinese.
TEST(CalibrationTexts, AVocabularyOfBytesSpellsChinese) {
  Calibration chinese{.built_in = BuiltInText::left_out};
  std::mt19937 generator(5);
  for (int i = 0; i < 60; ++i) {
    std::string text;
    for (int k = 0; k < 12; ++k)
      text += std::array{"\u6c34", "\u706b", "\u6728", "\u91d1", "\u571f"}[generator() % 5];
    chinese.texts.push_back({.text = text, .pair = {}});
  }
  EXPECT_THAT(said(chinese, "roberta"), HasSubstr("spells almost letter by letter (0.7 letters a token)"));
}

// ---- the built-in text beside them

struct RealTokenizer {
  std::filesystem::path folder = test::minilm_folder();
  Batch tokenized(const Calibration& calibration) const {
    ThreadPool pool(1);
    const LoadedModel loaded = load_model(folder, {});
    const TextTokenizer tokenizer(Tokenizer::load(folder, {}), loaded);
    return tokenize(calibration, loaded.model, tokenizer, kWidest, pool, {});
  }
};

// Tokens of the texts after the first `given`.
int64_t tokens_after(const Batch& batch, int64_t given) {
  return batch.tokens() - batch.offsets[static_cast<size_t>(given)];
}

TEST(BuiltInText, FillsWhatTheTextsLeaveAndHasItsShare) {
  const RealTokenizer real;
  if (real.folder.empty()) GTEST_SKIP() << test::kNoMiniLm;
  const auto mixed = [&](Calibration calibration) {
    const Batch alone = real.tokenized(calibration);
    calibration.built_in = BuiltInText::mixed_in;
    return std::pair(alone, real.tokenized(calibration));
  };
  const int64_t most = most_tokens(kWidest);
  const auto [few, few_mixed] = mixed(sentences(200));
  EXPECT_EQ(tokens_after(few_mixed, few.texts()) + few.tokens(), few_mixed.tokens());
  EXPECT_TRUE(std::equal(few.ids.begin(), few.ids.end(), few_mixed.ids.begin())) << "the texts come first";
  EXPECT_GE(few_mixed.tokens(), most * 8 / 10);
  EXPECT_LE(few_mixed.tokens(), most * 9 / 8);

  Calibration many = sentences(4000);
  const Batch many_mixed = mixed(many).second;
  EXPECT_LE(many_mixed.tokens(), most * 9 / 8);
  int64_t given = 0;  // sentences of 8 words are 10 tokens
  while (given < many_mixed.texts() && many_mixed.length(given) == 10) ++given;
  EXPECT_NEAR(static_cast<double>(tokens_after(many_mixed, given)), kBuiltInShare * static_cast<double>(most),
              0.04 * static_cast<double>(most));

  many.limit = 2000;  // exactly 2000 texts; the share of built-in text follows from their tokens
  const auto [named, named_mixed] = mixed(many);
  EXPECT_EQ(named.texts(), 2000);
  EXPECT_NEAR(static_cast<double>(tokens_after(named_mixed, 2000)),
              20'000 * kBuiltInShare / (1 - kBuiltInShare), 1000);
}

TEST(BuiltInText, ChangesNothingThatIsSaidOfTheTexts) {
  Calibration labels = sentences();
  for (size_t i = 0; i < labels.texts.size(); ++i) labels.texts[i].text = i % 2 ? "neutral" : "entailment";
  const std::string before = said(labels);
  labels.built_in = BuiltInText::mixed_in;
  EXPECT_THAT(said(labels), HasSubstr("which look like labels"));
  EXPECT_THAT(before, HasSubstr("which look like labels"));
}

// Lines that the vocabulary spells letter by letter, or does not know, are left out.
TEST(BuiltInText, BringsOnlyLinesTheVocabularyCovers) {
  const RealTokenizer real;
  if (real.folder.empty()) GTEST_SKIP() << test::kNoMiniLm;
  Calibration few = sentences(200);
  few.built_in = BuiltInText::mixed_in;
  const int64_t mixed_in = real.tokenized(few).texts() - 200, all = real.tokenized(Calibration{}).texts();
  EXPECT_LT(mixed_in, all);  // an English vocabulary spells Thai and Hindi
  EXPECT_GT(mixed_in, all / 2);
}

// A classifier that was given single texts is not shown pairs.
TEST(BuiltInText, ComesInPairsWherePairsWereGiven) {
  const std::filesystem::path folder = test::minilm_folder();
  if (folder.empty()) GTEST_SKIP() << test::kNoMiniLm;
  const LoadedModel classifier = load_model(tiny("bert_prefix"), {});
  const TextTokenizer tokenizer(Tokenizer::load(folder, {}), classifier);
  const auto second_texts_beside = [&](Calibration calibration) {  // tokens of them, in built-in lines
    calibration.built_in = BuiltInText::mixed_in;
    ThreadPool pool(1);
    const Batch batch = tokenize(calibration, classifier.model, tokenizer, kWidest, pool, {});
    EXPECT_GT(batch.texts(), 300);
    return std::count(batch.token_types.begin() + batch.offsets[60], batch.token_types.end(), 1);
  };
  EXPECT_EQ(second_texts_beside(sentences()), 0);
  EXPECT_GT(second_texts_beside(pairs()), 1000);
}

TEST(BuiltInText, StandsAloneWhereNothingWasGiven) {
  const Calibration alone = with_default_texts({});
  EXPECT_EQ(alone.texts.size(), default_calibration_texts().size());
  EXPECT_EQ(alone.built_in, BuiltInText::left_out) << "not a second time";
  EXPECT_EQ(tokenized({}).batch.ids, tokenized(alone).batch.ids);
  EXPECT_TRUE(with_default_texts({.built_in = BuiltInText::left_out}).texts.empty());
}

}  // namespace
}  // namespace mlxe::calibrate::calibration_texts_test
