// Not tokenizing the end of a long text changes no token: results are compared with the whole text,
// truncated by the test. Tokenizers whose tokens may depend on later text always get the whole text.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <nlohmann/json.hpp>
#include <random>

#include "format/json_file.h"
#include "test_files.h"
#include "tokenizer/tokenizer.h"

namespace mlxe::tokenizer_cut_test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// Words, and text on which a tokenizer may look ahead: combining marks, spaces, digits, other scripts,
// special tokens, long words.
std::string random_text(unsigned seed, size_t bytes) {
  static const std::vector<std::string> pieces{"hello",
                                               "World",
                                               "a",
                                               "don't",
                                               "x7",
                                               "1234567",
                                               "e\u0301\u0300",
                                               "\u00e9t\u00e9",
                                               "\u4e2d\u6587\u5b57",
                                               "\u0130stanbul",
                                               "\u03a3\u03a4\u03a3",
                                               "...",
                                               "--",
                                               "?!",
                                               "[MASK]",
                                               "<mask>",
                                               "</s>",
                                               "[SEP]",
                                               "\ufb01n",
                                               "\u2581",
                                               "\u200b",
                                               std::string(150, 'q'),
                                               "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35",
                                               "\U0001f600"};
  static const std::vector<std::string> gaps{" ",    " ",  " ",  " ",       "",      "  ",
                                             "    ", "\t", "\n", " \u00a0", "\u3000"};
  std::mt19937 random(seed);
  std::string text;
  while (text.size() < bytes) text += pieces[random() % pieces.size()] + gaps[random() % gaps.size()];
  return text;
}

std::string ideographs(size_t count) {
  std::string text;
  for (size_t i = 0; i < count; ++i) text += i % 5 == 4 ? "\u5929" : "\u6c34";
  return text;
}

// Numbers of tokens that remain of two texts of n1 and n2 tokens in `room` tokens: transformers'
// longest_first.
std::pair<size_t, size_t> longest_first(size_t n1, size_t n2, size_t room) {
  if (n1 + n2 <= room) return {n1, n2};
  const size_t half = room / 2, shorter = std::min(n1, n2);
  const size_t less = shorter <= half ? shorter : half, more = room - less;
  return n1 <= n2 ? std::pair(less, more) : std::pair(more, less);
}

// The first `count` elements.
template <class T>
std::vector<T> first(const std::vector<T>& all, size_t count) {
  return {all.begin(), all.begin() + static_cast<std::ptrdiff_t>(std::min(count, all.size()))};
}

void expect_first_tokens(const Tokenizer& tokenizer, const std::string& text, bool cut) {
  const Encoding whole = tokenizer.encode(text, EncodeOptions{.add_special_tokens = false});
  for (const int64_t limit : {5, 64, 511}) {
    const Encoding got =
        tokenizer.encode(text, EncodeOptions{.add_special_tokens = false, .max_length = limit});
    const auto count = static_cast<size_t>(limit);
    EXPECT_EQ(got.ids, first(whole.ids, count)) << limit;
    EXPECT_EQ(got.offsets, first(whole.offsets, count)) << limit;
    EXPECT_EQ(got.code_point_offsets, first(whole.code_point_offsets, count)) << limit;
    EXPECT_EQ(got.word_ids, first(whole.word_ids, count)) << limit;
    EXPECT_EQ(got.sequence, first(whole.sequence, count)) << limit;
    EXPECT_EQ(got.dropped_more, cut) << limit;
    const auto dropped = static_cast<int32_t>(whole.ids.size() - got.ids.size());
    EXPECT_GT(got.dropped_tokens, 0);
    EXPECT_EQ(got.dropped_tokens < dropped, cut) << limit;
    EXPECT_LE(got.dropped_tokens, dropped) << limit;
  }
}

void expect_pair(const Tokenizer& tokenizer, const std::string& a, const std::string& b) {
  const Encoding whole_a = tokenizer.encode(a, EncodeOptions{.add_special_tokens = false});
  const Encoding whole_b = tokenizer.encode(b, EncodeOptions{.add_special_tokens = false});
  for (const int64_t limit : {40, 41}) {
    const Encoding got =
        tokenizer.encode(a, b, EncodeOptions{.add_special_tokens = false, .max_length = limit});
    const auto [n, m] = longest_first(whole_a.ids.size(), whole_b.ids.size(), static_cast<size_t>(limit));
    std::vector<int32_t> expected = first(whole_a.ids, n);
    for (const int32_t id : first(whole_b.ids, m)) expected.push_back(id);
    EXPECT_EQ(got.ids, expected) << limit << ": " << whole_a.ids.size() << ", " << whole_b.ids.size();
  }
}

fs::path folder_of(const std::string& name) {
  return name.starts_with("tiny/") ? fs::path(MLXE_TEST_DATA) / name
                                   : fs::path(MLXE_TEST_DATA) / "tokenizers" / name;
}

class Cut : public testing::TestWithParam<const char*> {};

TEST_P(Cut, LeavesTheFirstTokensAsTheyAre) {
  const Tokenizer tokenizer = Tokenizer::load(folder_of(GetParam()), {});
  for (unsigned seed = 0; seed < 2; ++seed) expect_first_tokens(tokenizer, random_text(seed, 60'000), true);
}

TEST_P(Cut, LeavesPairsAsTheyAre) {
  const Tokenizer tokenizer = Tokenizer::load(folder_of(GetParam()), {});
  const std::string longer = random_text(1, 40'000), shorter = random_text(2, 30'000), tiny = "hello world";
  for (const auto& [a, b] : {std::pair(longer, shorter),
                             {shorter, longer},
                             {longer, longer},
                             {longer, tiny},
                             {tiny, longer},
                             {longer, ""},
                             {random_text(4, 4000), longer}})
    expect_pair(tokenizer, a, b);
}

INSTANTIATE_TEST_SUITE_P(Known, Cut,
                         testing::Values("bert_cased", "bert_uncased", "roberta", "xlm_roberta",
                                         "tiny/xlm_roberta", "tiny/roberta", "tiny/st_mean_norm"),
                         [](const auto& suite) {
                           std::string name = suite.param;
                           std::replace(name.begin(), name.end(), '/', '_');
                           return name;
                         });

TEST(Cut, IsMadeBetweenIdeographsWhereBertIsolatesThem) {
  const std::string text = ideographs(30'000);
  expect_first_tokens(Tokenizer::load(folder_of("bert_uncased"), {}), text, true);
  expect_first_tokens(Tokenizer::load(folder_of("roberta"), {}), text, false);
}

TEST(Cut, IsNotMadeInAWord) {
  const Tokenizer tokenizer = Tokenizer::load(folder_of("bert_uncased"), {});
  const Encoding e = tokenizer.encode(std::string(200'000, 'a'), EncodeOptions{.max_length = 16});
  EXPECT_EQ(e.ids.size(), 3u);  // [CLS] [UNK] [SEP]
  EXPECT_FALSE(e.truncated);
  // A very long word: the tokenizer tries larger and larger parts of the text.
  const std::string words = "hello " + std::string(20'000, 'a') + " hello";
  std::string text = words;
  for (int i = 0; i < 100'000; ++i) text += " hello";
  const Encoding late = tokenizer.encode(text, EncodeOptions{.max_length = 16});
  EXPECT_EQ(late.ids,
            tokenizer.encode(words + text.substr(words.size(), 600), EncodeOptions{.max_length = 16}).ids);
  EXPECT_TRUE(late.dropped_more);
}

// Letters, digits and the punctuation of base64, without a space.
std::string base64(unsigned seed, size_t bytes) {
  static const std::string letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::mt19937 random(seed);
  std::string text;
  while (text.size() < bytes) text += letters[random() % letters.size()];
  return text;
}

TEST(Cut, IsMadeBeforePunctuationWhereItEndsAWord) {
  for (const char* name : {"bert_cased", "bert_uncased", "roberta", "tiny/roberta", "tiny/st_mean_norm"}) {
    SCOPED_TRACE(name);
    expect_first_tokens(Tokenizer::load(folder_of(name), {}), base64(1, 200'000), true);
  }
  // Its pre-tokenizer splits at spaces alone: the whole text is one word of a Unigram.
  expect_first_tokens(Tokenizer::load(folder_of("xlm_roberta"), {}), base64(1, 60'000), false);
}

// What follows may make another character of the punctuation: '<' and U+0338 are U+226E under NFC, which is
// none to BERT, so that a word goes on. (Tabs end words, and no cut is made at them.)
TEST(Cut, IsNotMadeBeforePunctuationThatMayBeAnother) {
  std::string composed, replaced, added;
  while (composed.size() < 60'000) composed += "ab<\u0338cd\t", replaced += "ab-cd\t", added += "x-y\t";
  const auto with = [](const std::function<void(json&)>& change, const std::string& text) {
    test::TemporaryFolder folder;
    json tokenizer = read_json(folder_of("bert_uncased") / "tokenizer.json");
    change(tokenizer);
    test::write_file(folder / "tokenizer.json", tokenizer.dump());
    const Tokenizer loaded = Tokenizer::load(folder.path(), {});
    const Encoding whole = loaded.encode(text, EncodeOptions{.add_special_tokens = false});
    const Encoding got = loaded.encode(text, EncodeOptions{.add_special_tokens = false, .max_length = 5});
    EXPECT_EQ(got.ids, first(whole.ids, 5));
    EXPECT_EQ(got.offsets, first(whole.offsets, 5));
    return got.dropped_more;
  };
  EXPECT_FALSE(with([](json& t) { t["normalizer"] = {{"type", "NFC"}}; }, composed));
  const json dashes_removed{{"type", "Replace"}, {"pattern", {{"String", "-"}}}, {"content", ""}};
  EXPECT_FALSE(with([&](json& t) { t["normalizer"] = dashes_removed; }, replaced));
  EXPECT_TRUE(with([](json& t) { t["normalizer"] = {{"type", "NFC"}}; }, replaced)) << "a dash is a dash";
  const auto add = [](const char* content) {
    return [=](json& t) {
      t["added_tokens"].push_back({{"id", 1599},
                                   {"content", content},
                                   {"single_word", false},
                                   {"lstrip", false},
                                   {"rstrip", false},
                                   {"normalized", true},
                                   {"special", false}});
    };
  };
  EXPECT_FALSE(with(add("x-y"), added));
  EXPECT_TRUE(with(add("x*y"), added));
}

// Giant words, beside words, punctuation and characters of several bytes.
std::string giant_words(size_t letters) {
  return "hello \u00e9\u00e9" + std::string(letters, 'a') + "\u0301\u4e2d" + std::string(letters, 'Z') +
         "7,World " + std::string(letters, '4') + "[MASK]" + std::string(2 * letters, 'b') + " hello";
}

TEST(GiantWord, IsTheUnknownTokenWhateverItsLength) {
  for (const char* name : {"bert_cased", "bert_uncased", "tiny/st_mean_norm"}) {
    SCOPED_TRACE(name);
    const Tokenizer tokenizer = Tokenizer::load(folder_of(name), {});
    for (const size_t letters : {4'000, 4'200, 9'000, 100'000}) {
      SCOPED_TRACE(letters);
      const std::string text = giant_words(letters);
      const Encoding whole = tokenizer.encode(text, text);
      ASSERT_LT(whole.ids.size(), 40u);
      for (const int64_t limit : {10, 15, 100}) {
        const Encoding got = tokenizer.encode(text, EncodeOptions{.max_length = limit});
        const Encoding alone = tokenizer.encode(text);
        const size_t count = std::min<size_t>(static_cast<size_t>(limit), alone.ids.size()) - 1;
        EXPECT_EQ(first(got.ids, count), first(alone.ids, count));
        EXPECT_EQ(first(got.offsets, count), first(alone.offsets, count));
        EXPECT_EQ(first(got.code_point_offsets, count), first(alone.code_point_offsets, count));
        EXPECT_EQ(first(got.word_ids, count), first(alone.word_ids, count));
        EXPECT_EQ(got.dropped_tokens, static_cast<int32_t>(alone.ids.size() - got.ids.size()));
      }
      const Encoding pair = tokenizer.encode(text, text, EncodeOptions{.max_length = 100});
      EXPECT_EQ(pair.ids, whole.ids);
      EXPECT_EQ(pair.offsets, whole.offsets);
      EXPECT_EQ(pair.code_point_offsets, whole.code_point_offsets);
    }
    // The twin: with other lengths the same tokens, and other offsets.
    const Encoding a = tokenizer.encode(giant_words(5'000)), b = tokenizer.encode(giant_words(5'001));
    EXPECT_EQ(a.ids, b.ids);
    EXPECT_NE(a.offsets, b.offsets);
    EXPECT_NE(a.code_point_offsets, b.code_point_offsets);
  }
}

// The time for a word of 2 MB is that of a short one and of reading it: far less than of tokenizing it.
TEST(GiantWord, CostsNoMoreThanReadingIt) {
  const Tokenizer tokenizer = Tokenizer::load(folder_of("bert_uncased"), {});
  const std::string text = "hello " + std::string(2'000'000, 'a') + " hello";
  const Encoding short_word = tokenizer.encode("hello " + std::string(200, 'a') + " hello");
  const auto seconds = [&](const EncodeOptions& options) {
    const auto start = std::chrono::steady_clock::now();
    EXPECT_EQ(tokenizer.encode(text, options).ids, short_word.ids);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  EXPECT_LT(10 * seconds({.max_length = 16}), seconds({}));
}

// Where a run of letters is not one word the text is left as it is: an added token of letters, a
// pre-tokenizer that splits digits off, a model without a limit on words.
TEST(GiantWord, IsLeftWholeWhereItMayBeSeveral) {
  std::string text = "hello ";
  while (text.size() < 20'000) text += "abc1";
  const auto same = [&](const std::string& name, const std::function<void(json&)>& change) {
    test::TemporaryFolder folder;
    json tokenizer = read_json(folder_of(name) / "tokenizer.json");
    change(tokenizer);
    test::write_file(folder / "tokenizer.json", tokenizer.dump());
    const Tokenizer loaded = Tokenizer::load(folder.path(), {});
    const Encoding whole = loaded.encode(text);
    EXPECT_GT(whole.ids.size(), 1000u);
    const Encoding got = loaded.encode(text, EncodeOptions{.max_length = 30'000});
    EXPECT_EQ(got.ids, whole.ids);
    EXPECT_EQ(got.offsets, whole.offsets);
  };
  same("bert_uncased", [](json& t) {
    t["added_tokens"].push_back({{"id", 1599},
                                 {"content", "bc1"},
                                 {"single_word", false},
                                 {"lstrip", false},
                                 {"rstrip", false},
                                 {"normalized", true},
                                 {"special", false}});
  });
  same("bert_uncased", [](json& t) {
    t["pre_tokenizer"] = {
        {"type", "Sequence"},
        {"pretokenizers",
         {{{"type", "BertPreTokenizer"}}, {{"type", "Digits"}, {"individual_digits", true}}}}};
  });
  same("roberta", [](json&) {});
  same("xlm_roberta", [](json&) {});
}

TEST(Cut, IsNotMadeWhereTheBeginningIsDropped) {
  test::TemporaryFolder folder;
  fs::copy(folder_of("bert_uncased"), folder.path(), fs::copy_options::recursive);
  json config = read_json(folder / "tokenizer_config.json");
  config["truncation_side"] = "left";
  test::write_file(folder / "tokenizer_config.json", config.dump());
  const Tokenizer tokenizer = Tokenizer::load(folder.path(), {});
  const std::string text = random_text(3, 100'000);
  const Encoding whole = tokenizer.encode(text, EncodeOptions{.add_special_tokens = false});
  const Encoding got = tokenizer.encode(text, EncodeOptions{.add_special_tokens = false, .max_length = 20});
  EXPECT_EQ(got.ids, std::vector<int32_t>(whole.ids.end() - 20, whole.ids.end()));
  EXPECT_FALSE(got.dropped_more);
}

// In each of these tokenizers a token may depend on text after a space.
TEST(Cut, IsNotMadeForTokenizersThatLookAhead) {
  const json to_end{
      {"type", "Split"}, {"pattern", {{"Regex", "\\s+(?=.*z)"}}}, {"behavior", "Removed"}, {"invert", false}};
  const std::vector<std::pair<std::string, std::function<void(json&)>>> changes{
      {"a pattern of one's own", [&](json& t) { t["pre_tokenizer"] = to_end; }},
      {"no pre-tokenizer", [](json& t) { t["pre_tokenizer"] = nullptr; }},
      {"spaces removed",
       [](json& t) {
         t["normalizer"] = {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", ""}};
       }},
      {"a replacement over a space",
       [](json& t) {
         t["normalizer"] = {{"type", "Replace"}, {"pattern", {{"String", "d h"}}}, {"content", "x"}};
       }},
      {"letters removed",
       [](json& t) {
         t["normalizer"] = {{"type", "Replace"}, {"pattern", {{"String", "q"}}}, {"content", ""}};
       }},
      {"an added token with a space",
       [](json& t) {
         t["added_tokens"].push_back({{"id", 1599},
                                      {"content", "hello world"},
                                      {"single_word", false},
                                      {"lstrip", false},
                                      {"rstrip", false},
                                      {"normalized", true},
                                      {"special", false}});
       }},
      {"words of a fixed length", [](json& t) {
         t["pre_tokenizer"] = {{"type", "FixedLength"}, {"length", 5}};
       }}};
  for (const auto& [what, change] : changes) {
    SCOPED_TRACE(what);
    test::TemporaryFolder folder;
    json tokenizer = read_json(folder_of("bert_uncased") / "tokenizer.json");
    change(tokenizer);
    test::write_file(folder / "tokenizer.json", tokenizer.dump());
    std::string text;
    while (text.size() < 60'000) text += "hello world ";
    const Tokenizer loaded = Tokenizer::load(folder.path(), {});
    EXPECT_FALSE(loaded.encode(text, EncodeOptions{.max_length = 16}).dropped_more);
  }
}

// The cost of a text of 10 MB depends on the limit: a few thousand tokens are computed, not millions.
TEST(Cut, BoundsTheWorkOfAVeryLongText) {
  const Tokenizer tokenizer = Tokenizer::load(folder_of("bert_uncased"), {});
  std::string text;
  while (text.size() < 10'000'000) text += "hello world ";
  const Encoding e = tokenizer.encode(text, EncodeOptions{.max_length = 256});
  EXPECT_EQ(e.ids.size(), 256u);
  EXPECT_TRUE(e.dropped_more);
  EXPECT_LT(e.dropped_tokens, 20'000);
}

TEST(Charsmap, ThatClaimsMoreThanItHoldsIsRefused) {
  // A size of 4,294,967,295 bytes with no bytes (alone, and in a sequence), and a truncated one.
  const json alone{{"type", "Precompiled"}, {"precompiled_charsmap", "/////w=="}};
  const json nested{{"type", "Sequence"}, {"normalizers", {{{"type", "Lowercase"}}, alone}}};
  const json cut{{"type", "Precompiled"}, {"precompiled_charsmap", "AAEAAAAAAAA="}};
  for (const auto& [normalizer, claim] :
       {std::pair(alone, "4294967295"), {nested, "4294967295"}, {cut, "256"}}) {
    test::TemporaryFolder folder;
    json tokenizer = read_json(folder_of("bert_uncased") / "tokenizer.json");
    tokenizer["normalizer"] = normalizer;
    test::write_file(folder / "tokenizer.json", tokenizer.dump());
    EXPECT_THAT(
        test::error_text([&] { Tokenizer::load(folder.path(), {}); }, ErrorCode::format),
        testing::HasSubstr(std::string("precompiled_charsmap claims a table of ") + claim + " bytes"));
  }
}

}  // namespace
}  // namespace mlxe::tokenizer_cut_test
