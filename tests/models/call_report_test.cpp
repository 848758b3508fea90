// A call's report: which texts were truncated, and the warnings of that call alone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <barrier>
#include <functional>
#include <mutex>
#include <thread>

#include "mlx_encoder/encoder.h"
#include "model_folders.h"

namespace mlxe::test::call_report_test {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

std::string words(int count) {
  std::string text = "the";
  for (int i = 1; i < count; ++i) text += " the";
  return text;
}

// 8 tokens a text: 6 words and two special tokens.
Encoder load(const char* model, const Warning& warning) {
  return Encoder::load(tiny(model),
                       {.engine = EngineKind::cpu, .threads = 2, .max_length = 8, .warning = warning});
}

TEST(CallReport, NamesTheTruncatedTextsAndHoldsTheWarnings) {
  std::string heard;
  const Encoder encoder = load("st_mean_norm", [&](std::string_view sentence) { heard += sentence; });
  const std::vector<std::string> texts{words(3), words(7), words(6), words(20)};
  CallReport report;
  encoder.embed(texts, {.first_text = 100, .report = &report});
  EXPECT_THAT(report.truncated,
              ElementsAre(TruncatedText{.text = 1, .dropped = 1}, TruncatedText{.text = 3, .dropped = 14}));
  EXPECT_THAT(report.warnings, ElementsAre("text 102: truncated to 8 tokens, 1 dropped",
                                           "text 104: truncated to 8 tokens, 14 dropped"));
  EXPECT_EQ(heard, "") << "the encoder's warning is not called as well";
  encoder.embed(texts);
  EXPECT_THAT(heard, testing::HasSubstr("text 4: truncated")) << "without a report";
}

TEST(CallReport, ListsAllTextsWhereTheWarningsAreSummed) {
  const Encoder encoder = load("st_mean_norm", {});
  CallReport report;
  encoder.embed(std::vector<std::string>(5000, words(9)), {.report = &report});
  ASSERT_THAT(report.truncated, SizeIs(5000));
  for (size_t i = 0; i < report.truncated.size(); ++i) EXPECT_EQ(report.truncated[i].text, i);
  ASSERT_THAT(report.warnings, SizeIs(4));
  EXPECT_EQ(report.warnings.back(), "5000 of the texts 1 to 5000 were truncated to 8 tokens");
}

TEST(CallReport, IsFilledByEveryCall) {
  CallReport classes, zero_shot, choices, tokens;
  const std::vector<TextInput> inputs{{words(3), std::nullopt}, {words(8), std::nullopt}};
  load("bert_multilabel", {}).classify(inputs, {.report = &classes});
  EXPECT_THAT(classes.truncated, ElementsAre(TruncatedText{.text = 1, .dropped = 2}));
  const std::vector<std::string> texts{words(8), words(1), words(9)}, labels{"the", "the the"};
  // A pair has 3 special tokens; the hypothesis keeps its 1 or 2, so that a text keeps 4 or 3.
  load("distilbert_nli", {}).zero_shot(texts, labels, {.hypothesis_template = "{}", .report = &zero_shot});
  EXPECT_THAT(zero_shot.truncated,
              ElementsAre(TruncatedText{.text = 0, .dropped = 5}, TruncatedText{.text = 2, .dropped = 6}))
      << "a text once, with the most dropped";
  ASSERT_THAT(zero_shot.warnings, SizeIs(4));
  EXPECT_EQ(zero_shot.warnings.back(), "4 of the pairs with the texts 1 to 3 were truncated to 8 tokens");
  const std::vector<ChoiceInput> prompts(2, {words(8), {"the", "the the"}});
  load("bert_choice", {}).choose(prompts, {.report = &choices});
  EXPECT_EQ(choices.warnings.back(), "4 of the pairs with the prompts 1 to 2 were truncated to 8 tokens");
  load("bert_ner", {}).score_tokens(texts, {.report = &tokens});
  EXPECT_THAT(tokens.truncated,
              ElementsAre(TruncatedText{.text = 0, .dropped = 2}, TruncatedText{.text = 2, .dropped = 3}));
}

// Two callers of one encoder, with texts of their own.
struct Caller {
  std::vector<std::string> texts;
  size_t first_text;
  CallReport expected;
};

std::vector<Caller> two_callers(const Encoder& encoder) {
  std::vector<Caller> callers{{{words(7), words(2), words(30)}, 0, {}},
                              {{words(1), words(9), words(5), words(8), words(12)}, 1000, {}}};
  for (Caller& c : callers) encoder.embed(c.texts, {.first_text = c.first_text, .report = &c.expected});
  return callers;
}

constexpr int kCalls = 200;

// Runs kCalls calls of each caller at the same time.
void run_together(const std::vector<Caller>& callers, const std::function<void(const Caller&)>& call) {
  std::barrier start(static_cast<std::ptrdiff_t>(callers.size()));
  std::vector<std::thread> threads;
  for (const Caller& c : callers)
    threads.emplace_back([&] {
      for (int i = 0; i < kCalls; ++i) {
        start.arrive_and_wait();
        call(c);
      }
    });
  for (std::thread& t : threads) t.join();
}

bool is_own(const CallReport& report, const Caller& caller) {
  return report.truncated == caller.expected.truncated && report.warnings == caller.expected.warnings;
}

TEST(CallReport, OfConcurrentCallsDoNotMix) {
  const Encoder encoder = load("st_mean_norm", [](std::string_view sentence) { ADD_FAILURE() << sentence; });
  const std::vector<Caller> callers = two_callers(encoder);
  std::atomic<int> own{0};
  run_together(callers, [&](const Caller& c) {
    CallReport report;
    encoder.embed(c.texts, {.first_text = c.first_text, .report = &report});
    own += is_own(report, c);
  });
  EXPECT_EQ(own, 2 * kCalls);
}

// The twin: the one warning of the encoder hears both callers, and what it heard is nobody's own.
TEST(CallReport, IsNotWhatTheEncodersWarningHears) {
  std::mutex mutex;
  CallReport heard;
  bool listening = false;
  const Encoder encoder = load("st_mean_norm", [&](std::string_view sentence) {
    const std::lock_guard lock(mutex);
    if (listening) heard.warnings.emplace_back(sentence);
  });
  const std::vector<Caller> callers = two_callers(encoder);
  listening = true;
  run_together(callers, [&](const Caller& c) { encoder.embed(c.texts, {.first_text = c.first_text}); });
  EXPECT_THAT(heard.warnings,
              SizeIs(kCalls * (callers[0].expected.warnings.size() + callers[1].expected.warnings.size())));
  for (const Caller& c : callers) {
    heard.truncated = c.expected.truncated;
    EXPECT_FALSE(is_own(heard, c));
  }
}

// What was reported before an error is kept.
TEST(CallReport, IsKeptWhenTheCallThrows) {
  const Encoder encoder = load("st_mean_norm", {});
  std::vector<std::string> texts(3000, words(1));
  texts[7] = words(9);
  texts[2500] = "\xff";  // in the second window
  CallReport report;
  error_text([&] { encoder.embed(texts, {.report = &report}); }, ErrorCode::format);
  EXPECT_THAT(report.truncated, ElementsAre(TruncatedText{.text = 7, .dropped = 3}));
  EXPECT_THAT(report.warnings, SizeIs(1));
}

}  // namespace
}  // namespace mlxe::test::call_report_test
