// What calibration does with an encoder and a decoder: values that are read after later sums, and the token that counts
// most.
#include "calibrate/calibration_ops.h"

#include <gmock/gmock.h>

#include <array>
#include <cmath>
#include <deque>
#include <random>
#include <utility>

#include "base/thread_pool.h"
#include "model_folders.h"
#include "test_files.h"

namespace mlxe::calibrate::calibration_ops_test {
namespace {

using testing::HasSubstr;

constexpr int64_t kWords = 50, kColumns = 32, kTexts = 30;

// Keeps the moments of the last linear.
class Listener : public Fitter {
 public:
  explicit Listener(ThreadPool& pool) : pool_(pool) {}
  Moments found;

 private:
  void tables(std::span<const Lookup>, const LayerNorm*) override {}
  std::vector<ChannelAffine> norm(const LayerNorm&, const ChannelFit&) override { return {}; }
  void stored() override {}
  std::unique_ptr<MomentSums> moments(std::span<const Linear> linears, int64_t outputs) override {
    return std::make_unique<MomentSums>(linears[0].in, outputs, pool_);
  }
  void round_linears(std::span<const Linear>, std::unique_ptr<MomentSums> sums) override {
    found = sums->finish();
  }

  ThreadPool& pool_;
};

// A table of words and a matrix, and texts of different lengths.
struct Setting {
  std::vector<float> table = test::random_weights(kWords * kColumns, 1, 0.2),
                     matrix = test::random_weights(kColumns * kColumns, 2, 0.2);
  std::deque<cpu::Weight> weights;
  Batch batch;
  test::TemporaryFolder scratch;
  ThreadPool pool{2};
  Listener fitter{pool};

  Setting() {
    const auto add = [&](const std::vector<float>& values) {
      weights.emplace_back(StoredWeight{.name = "w",
                                        .shape = {static_cast<int64_t>(values.size()) / kColumns, kColumns},
                                        .dtype = Dtype::f32,
                                        .codes = std::as_bytes(std::span(values))});
    };
    add(table);
    add(matrix);
    std::mt19937 random(3);
    for (int64_t text = 0; text < kTexts; ++text) {
      std::vector<int32_t> ids(text == 0 ? 1 : 5 + random() % 20);
      for (int32_t& id : ids) id = static_cast<int32_t>(random() % kWords);
      batch.append(ids);
    }
  }
  CalibrationOps ops() { return {weights, weights, batch, scratch.path(), pool, fitter}; }
  CalibrationOps::Tensor words(CalibrationOps& ops) const {
    const std::array lookups{
        Lookup{.table = {.weight = 0, .rows = kWords, .columns = kColumns}, .rows = batch.ids}};
    return ops.embed(lookups);
  }
};

// A value is stored with an error of 2^-16 of its row's largest.
TEST(CalibrationOps, AKeptValueOutlivesLaterSums) {
  Setting s;
  CalibrationOps ops = s.ops();
  const auto words = s.words(ops);
  const auto sum = ops.add(words, words);
  const Matrix before = ops.to_host(sum);
  ops.keep({ops.activate(sum, Activation::relu)});  // reads the sum's rows
  ops.add(sum, sum);
  const Matrix after = ops.to_host(sum);
  ASSERT_EQ(after.values.size(), before.values.size());
  for (size_t r = 0; r < before.values.size(); r += kColumns) {
    float largest = 0;
    for (size_t c = r; c < r + kColumns; ++c) largest = std::max(largest, std::abs(before.values[c]));
    for (size_t c = r; c < r + kColumns; ++c)
      ASSERT_NEAR(after.values[c], before.values[c], largest * 0x1p-16f) << c;
  }
  // The twin: the next sum overwrites it.
  ops.keep({});
  ops.add(sum, sum);
  EXPECT_THAT(test::error_text([&] { ops.to_host(sum); }, ErrorCode::internal),
              HasSubstr("read after they had been replaced"));
}

TEST(CalibrationOps, OneTokenOfEachTextCountsAsMuchAsTheOthers) {
  Setting s;
  std::vector<int32_t> chosen;
  for (int64_t text = 0; text < kTexts; ++text)
    chosen.push_back(s.batch.offsets[text] + static_cast<int32_t>((7 * text) % s.batch.length(text)));
  // The mean with the tokens at `rows` for the chosen ones.
  const auto mean = [&](std::span<const int32_t> rows, int64_t column) {
    double sum = 0, weight = 0;
    for (int64_t text = 0; text < kTexts; ++text)
      for (int32_t t = s.batch.offsets[text]; t < s.batch.offsets[text + 1]; ++t) {
        const double own = t == rows[static_cast<size_t>(text)] ? 0.75 : 0.25 / (s.batch.length(text) - 1);
        sum += own * static_cast<double>(s.table[static_cast<size_t>(s.batch.ids[t] * kColumns + column)]);
        weight += own;
      }
    return sum / weight;
  };
  CalibrationOps ops = s.ops();
  ops.weigh_tokens(s.batch, chosen, 0.75f);
  ops.need(ops.linear(s.words(ops), {.weight = 1, .in = kColumns, .out = kColumns, .has_bias = Bias::no}));
  // Float32 sums of at most 30 * 24 products, each below 1.
  constexpr double kTolerance = 720 * 0x1p-24;
  double difference = 0, other_token = 0;
  for (int64_t c = 0; c < kColumns; ++c) {
    const double found = s.fitter.found.mean[static_cast<size_t>(c)];
    difference = std::max(difference, std::abs(found - mean(chosen, c)));
    other_token = std::max(other_token, std::abs(found - mean(s.batch.first_rows(), c)));
  }
  EXPECT_LE(difference, kTolerance);
  EXPECT_GT(other_token, 10 * kTolerance);
}

}  // namespace
}  // namespace mlxe::calibrate::calibration_ops_test
