// Texts to token ids and batches, without an engine: what every command that runs texts shares.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/thread_pool.h"
#include "encoder/text_batches.h"
#include "encoder/text_tokenizer.h"
#include "model_folders.h"

namespace mlxe::test::text_batches_test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Lengths = std::vector<size_t>;

TextTokenizer load(const char* model, int64_t max_length = 0) {
  return {Tokenizer::load(tiny(model), {}), load_model(tiny(model), {}), max_length};
}

std::vector<Encoding> encode_all(const TextTokenizer& tokenizer, const std::vector<EncodeInput>& texts,
                                 ThreadPool& pool, const TextRules& rules = {}) {
  return tokenizer.encode_all(texts, rules, pool, [](size_t i) { return i + 1; });
}

TEST(TextBatches, AreCutWhereTheNextTextNoLongerFits) {
  EXPECT_THAT(batches_in_order(Lengths{3, 4, 3, 1}, 7), ElementsAre(ElementsAre(0, 1), ElementsAre(2, 3)));
  EXPECT_THAT(batches_in_order(Lengths{9, 1, 9}, 7),
              ElementsAre(ElementsAre(0), ElementsAre(1), ElementsAre(2)))
      << "a longer text is a batch of its own";
  EXPECT_THAT(batches_in_order(Lengths{0, 2, 0, 2}, 7), ElementsAre(ElementsAre(1, 3)))
      << "texts without tokens are in none";
  EXPECT_THAT(batches_in_order(Lengths{}, 7), IsEmpty());
  EXPECT_THAT(batches_in_order(Lengths{0, 0}, 7), IsEmpty());
}

TEST(TextBatches, ByLengthHoldTheShortestFirstAndKeepTheOrderOfEqualOnes) {
  EXPECT_THAT(by_length(Lengths{5, 2, 5, 1, 2}), ElementsAre(3, 1, 4, 0, 2));
  EXPECT_THAT(batches_by_length(Lengths{5, 2, 5, 1, 2}, 5),
              ElementsAre(ElementsAre(3, 1, 4), ElementsAre(0), ElementsAre(2)));
}

TEST(TextTokenizer, EncodesTextsTogetherAsOneByOneForAnyNumberOfThreads) {
  const TextTokenizer tokenizer = load("roberta");
  std::vector<std::string> texts;
  for (int i = 0; i < 500; ++i)
    texts.push_back("the harbour " + std::to_string(i * 7919) + (i % 3 ? " bridge" : ""));
  std::vector<EncodeInput> inputs;
  for (const std::string& text : texts)
    inputs.push_back({text, text.size() % 2 ? std::optional<std::string_view>(text) : std::nullopt});
  for (const int threads : {1, 2, 5}) {
    ThreadPool pool(threads);
    const std::vector<Encoding> all = encode_all(tokenizer, inputs, pool);
    ASSERT_EQ(all.size(), inputs.size());
    for (size_t i = 0; i < inputs.size(); ++i) EXPECT_EQ(all[i].ids, tokenizer.encode(inputs[i]).ids);
  }
}

TEST(TextTokenizer, NamesTheFirstBadText) {
  const TextTokenizer tokenizer = load("bert");
  ThreadPool pool(2);
  const std::vector<EncodeInput> inputs{{"fine", {}}, {"a\xff", {}}, {"fine", {}}, {"ab\xff", {}}};
  EXPECT_THAT(error_text([&] { encode_all(tokenizer, inputs, pool); }, ErrorCode::format),
              HasSubstr("text 2: text is not UTF-8 at byte 1"));
  EXPECT_TRUE(encode_all(tokenizer, {}, pool).empty());
}

TEST(TextTokenizer, PutsThePromptBeforeTheFirstTextAndCountsItsTokens) {
  const TextTokenizer tokenizer = load("st_prompts");  // its pooling leaves the prompt out
  const Prompt prompt = tokenizer.prompt("take the road: ");
  const Encoding alone = tokenizer.tokenizer().encode(prompt.text),
                 together = tokenizer.encode({"the cat", "the dog"}, {.prompt = prompt});
  EXPECT_EQ(prompt.pool_from, static_cast<int32_t>(alone.ids.size()) - 1) << "all but [SEP]";
  EXPECT_EQ(together.ids, tokenizer.tokenizer().encode("take the road: the cat", "the dog").ids);
  EXPECT_EQ(load("st_mean_norm").prompt("take the road: ").pool_from, 0) << "pooling includes the prompt";
  // Nothing is left to pool: refused, unless the caller accepts texts without tokens.
  const TextTokenizer shorter = load("st_prompts", prompt.pool_from);
  const Prompt longer{"take the road: ", prompt.pool_from};
  EXPECT_THAT(error_text(
                  [&] {
                    shorter.encode({"the cat", {}}, {.prompt = longer});
                  },
                  ErrorCode::format),
              HasSubstr("no token to pool beside those of the prompt"));
  EXPECT_EQ(
      shorter.encode({"the cat", {}}, {.prompt = longer, .without_tokens = WithoutTokens::accept}).ids.size(),
      static_cast<size_t>(prompt.pool_from));
}

TEST(TextTokenizer, NeverTakesMoreTokensThanTheModelHasPositions) {
  const LoadedModel model = load_model(tiny("bert"), {});
  EXPECT_EQ(load("bert", 1 << 20).max_tokens(), load("bert").max_tokens());
  EXPECT_LE(load("bert").max_tokens(), model.model.max_tokens());
  EXPECT_EQ(load("bert", 8).max_tokens(), 8);
}

}  // namespace
}  // namespace mlxe::test::text_batches_test
