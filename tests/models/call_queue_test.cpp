// Calls from several threads are batched. Each call gets its own rows or its own error.
#include "engine_cpu/call_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <semaphore>
#include <thread>

#include "mlx_encoder/error.h"

namespace mlxe::cpu::call_queue_test {
namespace {

// Replaces a model: a token's vector is (id, id), its logit -id, a chosen token's id / 2, and a text's result the sum of
// its ids.
// Throws for id 13.
void stand_in(const RunRequest& request, RunResult& result) {
  const Batch& batch = request.batch;
  result = {};
  if (request.wanted.contains(Output::hidden)) result[Output::hidden] = {batch.tokens(), 2, {}};
  if (request.wanted.contains(Output::sentence)) result[Output::sentence] = {batch.texts(), 1, {}};
  if (request.wanted.contains(Output::token_logits)) result[Output::token_logits] = {batch.tokens(), 1, {}};
  if (request.wanted.contains(Output::chosen_logits)) {
    Matrix& m = result[Output::chosen_logits] = {batch.rows(OutputRows::chosen), 1, {}};
    for (const int32_t t : batch.chosen)
      m.values.push_back(static_cast<float>(batch.ids[static_cast<size_t>(t)]) / 2);
  }
  for (int64_t b = 0; b < batch.texts(); ++b) {
    float sum = 0;
    for (int32_t t = batch.offsets[static_cast<size_t>(b)]; t < batch.offsets[static_cast<size_t>(b) + 1];
         ++t) {
      const auto id = static_cast<float>(batch.ids[static_cast<size_t>(t)]);
      if (id == 13) throw Error(ErrorCode::format, "13 is no token");
      sum += id;
      if (request.wanted.contains(Output::hidden))
        result[Output::hidden].values.insert(result[Output::hidden].values.end(), {id, id});
      if (request.wanted.contains(Output::token_logits)) result[Output::token_logits].values.push_back(-id);
    }
    if (request.wanted.contains(Output::sentence)) result[Output::sentence].values.push_back(sum);
  }
}

const Model kModel{.model_type = "bert"};

RunRequest text(std::vector<int32_t> ids, std::vector<int32_t> chosen = {}) {
  RunRequest request{
      .wanted = {Output::hidden, Output::sentence, Output::token_logits, Output::chosen_logits}};
  request.batch.append(ids);
  request.batch.chosen = std::move(chosen);
  return request;
}

// A queue whose first run waits until `others` more calls were made, each from its own thread.
struct Crowd {
  std::counting_semaphore<> begun{0}, go{0};
  std::atomic<int> runs{0};
  std::vector<int64_t> texts_of_runs;
  CallQueue queue{1, [this](const Model&, const RunRequest& request, RunResult& result) {
                    texts_of_runs.push_back(request.batch.texts());  // one run at a time
                    if (runs++ == 0) begun.release(), go.acquire();
                    stand_in(request, result);
                  }};
  std::vector<std::future<RunResult>> calls;

  void call(RunRequest request) {
    calls.push_back(std::async(std::launch::async, [this, r = std::move(request)] {
      RunResult result;
      queue.call(kModel, r, result);
      return result;
    }));
  }
  void first(RunRequest request) {
    call(std::move(request));
    begun.acquire();
  }
  // Lets the first run continue once all other calls wait.
  void let_go() {
    while (queue.waiting() + 1 < calls.size()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    go.release();
  }
};

TEST(CallQueue, CallsThatWaitedRunAsOneBatchAndGetTheirOwnRows) {
  Crowd crowd;
  crowd.first(text({1, 2}));
  for (int32_t i = 0; i < 7; ++i)
    crowd.call(text({100 * i, 5, i}, i % 2 == 0 ? std::vector{0, 2} : std::vector<int32_t>{}));
  crowd.let_go();
  EXPECT_EQ(crowd.calls[0].get()[Output::sentence].values, (Matrix::Values{3}));
  for (int32_t i = 0; i < 7; ++i) {
    const RunResult r = crowd.calls[static_cast<size_t>(i) + 1].get();
    const auto a = static_cast<float>(100 * i), c = static_cast<float>(i);
    EXPECT_EQ(r[Output::sentence].values, (Matrix::Values{a + 5 + c}));
    EXPECT_EQ(r[Output::hidden].values, (Matrix::Values{a, a, 5, 5, c, c}));
    EXPECT_EQ(r[Output::hidden].rows, 3);
    EXPECT_EQ(r[Output::token_logits].values, (Matrix::Values{-a, -5, -c}));
    EXPECT_EQ(r[Output::chosen_logits].values,
              i % 2 == 0 ? (Matrix::Values{a / 2, c / 2}) : Matrix::Values{});
    EXPECT_EQ(r[Output::pooled].rows, 0);
  }
  EXPECT_THAT(crowd.texts_of_runs, testing::ElementsAre(1, 7));
}

TEST(CallQueue, AnErrorIsItsCallersAlone) {
  Crowd crowd;
  crowd.first(text({1}));
  crowd.call(text({2}));
  crowd.call(text({12, 13}));
  crowd.call(text({4}));
  crowd.let_go();
  EXPECT_EQ(crowd.calls[1].get()[Output::sentence].values, (Matrix::Values{2}));
  EXPECT_THROW((void)crowd.calls[2].get(), Error);
  EXPECT_EQ(crowd.calls[3].get()[Output::sentence].values, (Matrix::Values{4}));
}

TEST(CallQueue, WhatAsksForOtherResultsOrIsLargeRunsApart) {
  Crowd crowd;
  crowd.first(text({1}));
  crowd.call(text({2}));
  RunRequest vectors_only = text({3});
  vectors_only.wanted.remove(Output::hidden);
  crowd.call(vectors_only);
  crowd.call(text(std::vector<int32_t>(200, 1)));
  crowd.call(text(std::vector<int32_t>(250, 1)));
  crowd.call(text(std::vector<int32_t>(90, 1)));  // 2 + 200 + 250 + 90 tokens are more than one batch
  crowd.let_go();
  std::vector<float> sums;
  for (auto& c : crowd.calls) sums.push_back(c.get()[Output::sentence].values.at(0));
  EXPECT_THAT(sums, testing::ElementsAre(1, 2, 3, 200, 250, 90));
  EXPECT_EQ(crowd.texts_of_runs.size(), 4u) << testing::PrintToString(crowd.texts_of_runs);
  // The largest calls are not queued.
  RunResult result;
  crowd.queue.call(kModel, text(std::vector<int32_t>(300, 1)), result);
  EXPECT_EQ(result[Output::sentence].values, (Matrix::Values{300}));
}

}  // namespace
}  // namespace mlxe::cpu::call_queue_test
