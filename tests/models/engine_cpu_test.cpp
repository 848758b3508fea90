// The cpu engine on a small BERT against the naive double-precision forward pass, and against itself.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <future>
#include <numeric>

#include "mlx_encoder/error.h"
#include "models/tiny_bert.h"
#include "test_files.h"

namespace mlxe::test {
namespace {

using testing::HasSubstr;

// Every group size divides both widths; two layers, so that the second sees what the first made.
constexpr BertConfig kEven{.vocab_size = 61,
                           .hidden_size = 128,
                           .layers = 2,
                           .heads = 4,
                           .intermediate_size = 384,
                           .max_positions = 512,
                           .type_vocab_size = 2,
                           .layer_norm_epsilon = 1e-12f,
                           .activation = Activation::gelu_erf};
// No width is a multiple of a register.
constexpr BertConfig kOdd{.vocab_size = 37,
                          .hidden_size = 39,
                          .layers = 2,
                          .heads = 3,
                          .intermediate_size = 301,
                          .max_positions = 512,
                          .type_vocab_size = 3,
                          .layer_norm_epsilon = 1e-5f,
                          .activation = Activation::gelu_erf};

const std::vector<int64_t> kLengths{1, 2, 31, 32, 33, 127, 128, 129, 255, 256, 257, 512};

// The requirement on float32 parity, relative to a layer's largest value. A float32 sum of K products in
// random signs is off by about sqrt(K) 2^-24 of the terms' norm: 1e-6 for K = 384. Four such sums, two layer
// norms and a softmax a layer stay below 5e-6 over two layers; a scale that is 1 % off shows as 1e-3.
constexpr double kTolerance = 1e-5;

RunResult run(const TinyBert& bert, Engine& engine, const Batch& batch) {
  RunResult result;
  engine.run(bert.model, {.batch = batch, .layers = true, .hidden = true, .pooler = true, .logits = true},
             result);
  return result;
}

// The largest difference to the naive result over all layers, each relative to its largest value.
double worst_difference(const TinyBert& bert, const RunResult& result, const Batch& batch) {
  const naive::Bert naive = bert.naive();
  double worst = 0;
  for (int64_t b = 0; b < batch.texts(); ++b) {
    const Batch one = single(batch, b);
    const std::vector<naive::Mat> expected = naive(one.ids, one.token_types);
    EXPECT_EQ(result.layers.size(), expected.size());
    for (size_t l = 0; l < expected.size(); ++l) {
      const Matrix& found = result.layers[l];
      EXPECT_EQ(found.rows, batch.tokens());
      EXPECT_EQ(found.columns, expected[l].columns);
      double largest = 0, difference = 0;
      const int64_t first = batch.offsets[static_cast<size_t>(b)] * found.columns;
      for (size_t i = 0; i < expected[l].v.size(); ++i) {
        largest = std::max(largest, std::abs(expected[l].v[i]));
        difference =
            std::max(difference, std::abs(expected[l].v[i] - found.values[static_cast<size_t>(first) + i]));
      }
      worst = std::max(worst, difference / largest);
    }
  }
  return worst;
}

void expect_same_bits(const Matrix& a, int64_t a_row, const Matrix& b, int64_t b_row, int64_t rows,
                      const std::string& what) {
  ASSERT_EQ(a.columns, b.columns) << what;
  const auto bytes = static_cast<size_t>(rows * a.columns) * sizeof(float);
  EXPECT_EQ(std::memcmp(a.values.data() + a_row * a.columns, b.values.data() + b_row * b.columns, bytes), 0)
      << what;
}

// Row range of a text in `all` against the whole of `one`.
void expect_text_is(const RunResult& one, const RunResult& all, const Batch& batch, int64_t b,
                    const std::string& what) {
  const int64_t row = batch.offsets[static_cast<size_t>(b)], n = batch.length(b);
  for (size_t l = 0; l < one.layers.size(); ++l)
    expect_same_bits(one.layers[l], 0, all.layers[l], row, n, what + " layer " + std::to_string(l));
  expect_same_bits(one.hidden, 0, all.hidden, row, n, what + " hidden");
  expect_same_bits(one.pooler, 0, all.pooler, b, 1, what + " pooler");
  expect_same_bits(one.logits, 0, all.logits, b, 1, what + " logits");
}

Scheme affine(int bits, int group, Dtype dtype = Dtype::f16) {
  return {Mode::affine, bits, group, dtype};
}

std::vector<Scheme> all_schemes() {
  std::vector<Scheme> schemes{{.dtype = Dtype::f32}, {.dtype = Dtype::f16}, {.dtype = Dtype::bf16}};
  for (int bits : {2, 3, 4, 5, 6, 8})
    for (int group : {32, 64, 128}) schemes.push_back(affine(bits, group));
  schemes.push_back(affine(8, 64, Dtype::f32));
  schemes.push_back(affine(4, 32, Dtype::bf16));
  schemes.push_back({Mode::mxfp4, 4, 32, Dtype::f16});
  schemes.push_back({Mode::mxfp8, 8, 32, Dtype::f16});
  schemes.push_back({Mode::nvfp4, 4, 16, Dtype::f16});
  schemes.push_back({Mode::int8, 8, 0, Dtype::f16});
  return schemes;
}

TEST(CpuEngine, EveryLayerIsTheNaiveOneAtEveryLength) {
  TinyBert bert(kEven, {.dtype = Dtype::f32});
  const auto engine = make_cpu_engine({});
  bert.add_to(*engine);
  const Batch batch = random_batch(kEven, kLengths);
  EXPECT_LE(worst_difference(bert, run(bert, *engine, batch), batch), kTolerance);
}

TEST(CpuEngine, WidthsThatFillNoRegister) {
  TinyBert bert(kOdd, {.dtype = Dtype::f32});
  const auto engine = make_cpu_engine({});
  bert.add_to(*engine);
  const Batch batch = random_batch(kOdd, kLengths);
  EXPECT_LE(worst_difference(bert, run(bert, *engine, batch), batch), kTolerance);
}

class EveryScheme : public testing::TestWithParam<Scheme> {};

TEST_P(EveryScheme, IsTheNaiveForwardOfItsDequantizedWeights) {
  TinyBert bert(kEven, GetParam());
  const auto engine = make_cpu_engine({});
  bert.add_to(*engine);
  const Batch batch = random_batch(kEven, {5, 33, 1, 64});
  EXPECT_LE(worst_difference(bert, run(bert, *engine, batch), batch), kTolerance);
}

// The twin: what the tolerance lets through must be far from what one damaged scale does.
TEST_P(EveryScheme, OneDamagedCodeOrScaleShows) {
  TinyBert bert(kEven, GetParam());
  StoredWeight& w = bert.stored("encoder.layer.1.output.dense.weight");
  std::vector<std::byte> damaged(w.scales.empty() ? w.codes.begin() : w.scales.begin(),
                                 w.scales.empty() ? w.codes.end() : w.scales.end());
  // The top byte of the first scale (or value): another exponent.
  const size_t size = w.scheme.mode == Mode::int8                         ? 4
                      : w.scheme.mode == Mode::affine || w.scales.empty() ? size_of(w.dtype)
                                                                          : 1;
  damaged[size - 1] ^= size == 1 ? std::byte{0x02} : std::byte{0x04};
  (w.scales.empty() ? w.codes : w.scales) = damaged;
  const auto engine = make_cpu_engine({});
  bert.add_to(*engine);
  const Batch batch = random_batch(kEven, {5, 33, 1, 64});
  EXPECT_GT(worst_difference(bert, run(bert, *engine, batch), batch), 2 * kTolerance);
}

INSTANTIATE_TEST_SUITE_P(, EveryScheme, testing::ValuesIn(all_schemes()), [](const auto& parameter) {
  std::string text = to_string(parameter.param);
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return !std::isalnum(c); }, '_');
  return text;
});

TEST(CpuEngine, ATextHasTheSameBitsAloneAndInAnyBatchOnAnyNumberOfThreads) {
  for (const Scheme& scheme : {Scheme{.dtype = Dtype::f32}, affine(8, 64), affine(4, 32)}) {
    TinyBert bert(kEven, scheme);
    const std::vector<int64_t> lengths{33, 1, 512, 2, 32, 129, 31, 5, 127, 257, 17, 64};
    const Batch batch = random_batch(kEven, lengths);
    std::vector<RunResult> alone;
    for (int threads : {1, 2, 3, 7}) {
      const auto engine = make_cpu_engine({.threads = threads});
      bert.add_to(*engine);
      if (alone.empty())
        for (int64_t b = 0; b < batch.texts(); ++b) alone.push_back(run(bert, *engine, single(batch, b)));
      const RunResult together = run(bert, *engine, batch);
      for (int64_t b = 0; b < batch.texts(); ++b) {
        const std::string what =
            to_string(scheme) + ", threads " + std::to_string(threads) + ", text " + std::to_string(b);
        expect_text_is(alone[static_cast<size_t>(b)], together, batch, b, what);
        expect_text_is(run(bert, *engine, single(batch, b)), together, batch, b, what + " alone");
      }
    }
  }
}

TEST(CpuEngine, AShuffledBatchGivesTheShuffledResult) {
  TinyBert bert(kOdd, {.dtype = Dtype::bf16});
  const auto engine = make_cpu_engine({.threads = 3});
  bert.add_to(*engine);
  const Batch batch = random_batch(kOdd, {7, 100, 1, 40, 40, 260, 3, 90, 77, 12, 55});
  const RunResult expected = run(bert, *engine, batch);
  std::vector<int64_t> order(static_cast<size_t>(batch.texts()));
  std::iota(order.begin(), order.end(), 0);
  std::mt19937 random(3);
  for (int round = 0; round < 5; ++round) {
    std::shuffle(order.begin(), order.end(), random);
    Batch shuffled;
    for (int64_t b : order) {
      const Batch one = single(batch, b);
      shuffled.append(one.ids, one.token_types);
    }
    const RunResult found = run(bert, *engine, shuffled);
    for (size_t i = 0; i < order.size(); ++i)
      expect_same_bits(expected.hidden, batch.offsets[static_cast<size_t>(order[i])], found.hidden,
                       shuffled.offsets[i], batch.length(order[i]), "round " + std::to_string(round));
  }
}

TEST(CpuEngine, ConcurrentCallsDontMix) {
  TinyBert bert(kEven, affine(8, 64));
  const auto engine = make_cpu_engine({.threads = 2});
  bert.add_to(*engine);
  std::vector<Batch> batches;
  std::vector<RunResult> expected;
  for (uint32_t i = 0; i < 4; ++i) {
    batches.push_back(
        random_batch(kEven, {static_cast<int64_t>(10 + i), 3, static_cast<int64_t>(50 * i + 1)}, i));
    expected.push_back(run(bert, *engine, batches.back()));
  }
  std::vector<std::future<void>> callers;
  for (size_t i = 0; i < batches.size(); ++i)
    callers.push_back(std::async(std::launch::async, [&, i] {
      for (int round = 0; round < 10; ++round) {
        const RunResult found = run(bert, *engine, batches[i]);
        expect_same_bits(expected[i].hidden, 0, found.hidden, 0, found.hidden.rows,
                         "caller " + std::to_string(i));
      }
    }));
  for (auto& c : callers) c.get();
}

}  // namespace
}  // namespace mlxe::test
