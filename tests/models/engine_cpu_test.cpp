// The cpu engine on a small BERT against the naive double-precision forward pass, and against itself.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <future>
#include <limits>
#include <numeric>

#include "base/cpu_features.h"
#include "mlx_encoder/error.h"
#include "models/engine_runs.h"
#include "models/row_errors.h"
#include "test_files.h"

namespace mlxe::test::engine_cpu_test {
namespace {

using testing::HasSubstr;

// No width is a multiple of a register's width.
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

// The tolerance of float32 parity, relative to a layer's largest value. The error of a float32 sum of K
// products with random signs is about sqrt(K) 2^-24 of the terms' norm: 1e-6 for K = 384. Four such sums,
// two layer norms and a softmax a layer stay below 5e-6 over two layers. A scale that is 1 % off gives
// 1e-3.
constexpr double kTolerance = 1e-5;

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
      const int64_t first = batch.offsets[static_cast<size_t>(b)] * found.columns;
      worst = larger_error(worst, relative_error(found.values.data() + first, expected[l]));
    }
  }
  return worst;
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

// The twin: one damaged code or scale exceeds the tolerance by far.
TEST_P(EveryScheme, OneDamagedCodeOrScaleShows) {
  TinyBert bert(kEven, GetParam());
  StoredWeight& w = bert.stored("encoder.layer.1.output.dense.weight");
  std::vector<std::byte> damaged(w.scales.empty() ? w.codes.begin() : w.scales.begin(),
                                 w.scales.empty() ? w.codes.end() : w.scales.end());
  // Damages the top byte of the first scale (or value): another exponent.
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

INSTANTIATE_TEST_SUITE_P(, EveryScheme, testing::ValuesIn(all_schemes()), scheme_name);

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
      expect_same_bits(expected[Output::hidden], batch.offsets[static_cast<size_t>(order[i])],
                       found[Output::hidden], shuffled.offsets[i], batch.length(order[i]),
                       "round " + std::to_string(round));
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
        expect_same_bits(expected[i][Output::hidden], 0, found[Output::hidden], 0, found[Output::hidden].rows,
                         "caller " + std::to_string(i));
      }
    }));
  for (auto& c : callers) c.get();
}

// ---- heads

double largest_difference(const Matrix& found, const naive::Mat& expected) {
  EXPECT_EQ(found.rows, expected.rows);
  EXPECT_EQ(found.columns, expected.columns);
  return relative_error(found.values.data(), expected);
}

// One row for each text, pooled by `pool(hidden, skip)` from the naive last layer.
template <class Pool>
naive::Mat pooled(const TinyBert& bert, const Batch& batch, Pool pool) {
  naive::Mat rows(batch.texts(), bert.config.hidden_size);
  for (int64_t b = 0; b < batch.texts(); ++b) {
    const Batch one = single(batch, b);
    const std::vector<double> row = pool(bert.naive()(one.ids, one.token_types).back(), one.pool_from[0]);
    std::copy(row.begin(), row.end(), rows.v.begin() + b * rows.columns);
  }
  return rows;
}

std::vector<double> row_of(const naive::Mat& m, int64_t r) {
  return {m.v.begin() + r * m.columns, m.v.begin() + (r + 1) * m.columns};
}

TEST(CpuEngine, PoolerAndClassifierReadTheFirstToken) {
  TinyBert bert(kOdd, {.dtype = Dtype::f32});
  const auto engine = make_cpu_engine({});
  bert.add_to(*engine);
  const Batch batch = random_batch(kOdd, {1, 20, 7, 33});
  const RunResult result = run(bert, *engine, batch);
  const naive::Mat first = pooled(bert, batch, [](const naive::Mat& x, int32_t) { return row_of(x, 0); });
  const naive::Mat pooler =
      apply(naive::linear(first, bert.exact, "pooler.dense"), [](double v) { return std::tanh(v); });
  const naive::Mat hidden =
      apply(naive::linear(first, bert.exact, "head.dense"), [](double v) { return v > 0 ? v : 0; });
  EXPECT_LE(largest_difference(result[Output::pooled], pooler), kTolerance);
  EXPECT_LE(largest_difference(result[Output::text_logits], naive::linear(hidden, bert.exact, "head.out")),
            kTolerance);
}

TEST(CpuEngine, HeadsOfTheFirstTokenKeepTheirBits) {
  expect_first_token_heads_keep_their_bits({Mode::affine, 8, 64, Dtype::f16}, Activations::float32);
}

// sentence_transformers' Pooling of one text. Weights of weighted_mean count from 1 over the whole text
// with the prompt.
std::vector<double> naive_pool(const naive::Mat& x, PoolingKind kind, int64_t skip) {
  if (kind == PoolingKind::cls) return row_of(x, skip);
  if (kind == PoolingKind::last_token) return row_of(x, x.rows - 1);
  std::vector<double> out(static_cast<size_t>(x.columns), kind == PoolingKind::max ? -HUGE_VAL : 0);
  double weights = 0;
  for (int64_t t = skip; t < x.rows; ++t) {
    const double w = kind == PoolingKind::weighted_mean ? static_cast<double>(t + 1) : 1;
    weights += w;
    for (int64_t i = 0; i < x.columns; ++i) {
      double& o = out[static_cast<size_t>(i)];
      o = kind == PoolingKind::max ? std::max(o, x.at(t, i)) : o + w * x.at(t, i);
    }
  }
  const double divisor = kind == PoolingKind::max             ? 1
                         : kind == PoolingKind::mean_sqrt_len ? std::sqrt(weights)
                                                              : weights;
  for (double& o : out) o /= divisor;
  return out;
}

constexpr PoolingKind kKinds[] = {PoolingKind::cls,           PoolingKind::max,
                                  PoolingKind::mean,          PoolingKind::mean_sqrt_len,
                                  PoolingKind::weighted_mean, PoolingKind::last_token};

Matrix sentence_vectors(const TinyBert& bert, Engine& engine, const Batch& batch) {
  RunResult result;
  engine.run(bert.model, {.batch = batch, .wanted = {Output::sentence}}, result);
  return result[Output::sentence];
}

TEST(CpuEngine, EveryPoolingWithAndWithoutAPrompt) {
  TinyBert bert(kOdd, {.dtype = Dtype::f32});
  const auto engine = make_cpu_engine({});
  bert.add_to(*engine);
  Batch batch = random_batch(kOdd, {1, 20, 7, 33, 2});
  for (const bool prompt : {false, true}) {
    if (prompt) batch.pool_from = {0, 5, 6, 1, 1};
    for (PoolingKind kind : kKinds) {
      bert.set_pipeline({PoolingSpec{{kind}}});
      const naive::Mat expected =
          pooled(bert, batch, [&](const naive::Mat& x, int32_t skip) { return naive_pool(x, kind, skip); });
      EXPECT_LE(largest_difference(sentence_vectors(bert, *engine, batch), expected), kTolerance)
          << static_cast<int>(kind);
    }
  }
}

TEST(CpuEngine, PoolingsConcatenateThenProjectThenNormalize) {
  TinyBert bert(kOdd, {.dtype = Dtype::f32});
  const int64_t d = kOdd.hidden_size, out = 21;
  naive::Mat w(out, 3 * d);
  std::vector<float> stored;
  std::mt19937 random(5);
  std::normal_distribution<float> normal(0, 0.1f);
  for (double& v : w.v) stored.push_back(normal(random)), v = stored.back();
  const auto engine = make_cpu_engine({});
  bert.add_to(*engine);
  const auto bytes = std::as_bytes(std::span(stored));
  const std::vector<PoolingKind> kinds{PoolingKind::max, PoolingKind::mean, PoolingKind::cls};
  const DenseSpec dense{.folder = "2_Dense", .in = 3 * d, .out = out, .activation = "tanh"};
  bert.set_pipeline({PoolingSpec{kinds}, dense, NormalizeSpec{}});
  Parameter& weight = bert.model.plan.parameters.back();
  weight.handle = engine->add({weight.name, {.dtype = Dtype::f32}, weight.shape, Dtype::f32, bytes, {}, {}});

  const Batch batch = random_batch(kOdd, {3, 18, 1});
  naive::Mat wide(batch.texts(), 3 * d);
  for (size_t k = 0; k < kinds.size(); ++k) {
    const naive::Mat part =
        pooled(bert, batch, [&](const naive::Mat& x, int32_t skip) { return naive_pool(x, kinds[k], skip); });
    for (int64_t b = 0; b < batch.texts(); ++b)
      for (int64_t i = 0; i < d; ++i) wide.at(b, static_cast<int64_t>(k) * d + i) = part.at(b, i);
  }
  naive::Mat expected = apply(naive::linear(wide, w, {}), [](double v) { return std::tanh(v); });
  for (int64_t b = 0; b < batch.texts(); ++b) {
    double squares = 0;
    for (int64_t i = 0; i < out; ++i) squares += expected.at(b, i) * expected.at(b, i);
    for (int64_t i = 0; i < out; ++i) expected.at(b, i) /= std::sqrt(squares);
  }
  EXPECT_LE(largest_difference(sentence_vectors(bert, *engine, batch), expected), kTolerance);
}

TEST(CpuEngine, EveryActivationOfTheFeedForward) {
  const auto sigmoid = [](double x) { return 1 / (1 + std::exp(-x)); };
  const std::pair<Activation, std::function<double(double)>> cases[] = {
      {Activation::relu, [](double x) { return x > 0 ? x : 0; }},
      {Activation::gelu_erf, naive::gelu},
      {Activation::gelu_tanh,
       [](double x) { return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x))); }},
      {Activation::gelu_quick, [&](double x) { return x * sigmoid(1.702 * x); }},
      {Activation::silu, [&](double x) { return x * sigmoid(x); }},
      {Activation::tanh, [](double x) { return std::tanh(x); }},
      {Activation::sigmoid, sigmoid},
      {Activation::identity, [](double x) { return x; }}};
  for (const auto& [activation, function] : cases) {
    BertConfig config = kOdd;
    config.activation = activation;
    TinyBert bert(config, {.dtype = Dtype::f32});
    const auto engine = make_cpu_engine({});
    bert.add_to(*engine);
    const Batch batch = random_batch(config, {17});
    naive::Bert naive = bert.naive();
    naive.activation = function;
    const naive::Mat expected = naive(batch.ids, batch.token_types).back();
    EXPECT_LE(largest_difference(run(bert, *engine, batch)[Output::hidden], expected), kTolerance)
        << name(activation);
  }
}

// ---- errors

class Refused : public testing::Test {
 protected:
  std::string add_error(StoredWeight w, ErrorCode code) {
    return error_text([&] { make_cpu_engine({})->add(w); }, code);
  }
  std::vector<float> values_ = std::vector<float>(64, 0.5f);
  std::span<const std::byte> bytes_ = std::as_bytes(std::span(values_));
  const Scheme f32_{.dtype = Dtype::f32};
};

TEST_F(Refused, WeightsWhoseBytesDontMatchTheirShape) {
  EXPECT_THAT(add_error({"w", f32_, {8, 9}, Dtype::f32, bytes_, {}, {}}, ErrorCode::format),
              HasSubstr("w: values hold 256 bytes, [8, 9] as float32 takes 288"));
  const Scheme q = affine(8, 32);
  EXPECT_THAT(add_error({"w", q, {2, 128}, Dtype::f16, bytes_.first(255), bytes_.first(16), bytes_.first(16)},
                        ErrorCode::format),
              HasSubstr("w: codes hold 255 bytes, [2, 128] as affine 8-bit g32 float16 takes 256"));
  EXPECT_THAT(add_error({"w", q, {2, 128}, Dtype::f16, bytes_, bytes_.first(12), bytes_.first(16)},
                        ErrorCode::format),
              HasSubstr("w: scales hold 12 bytes"));
  EXPECT_THAT(add_error({"w", q, {2, 128}, Dtype::f16, bytes_, bytes_.first(16), {}}, ErrorCode::format),
              HasSubstr("w: biases hold 0 bytes"));
}

TEST_F(Refused, WeightsThatAreNoFloatsOrNoMatrix) {
  EXPECT_THAT(add_error({"w", f32_, {8, 8}, Dtype::i32, bytes_, {}, {}}, ErrorCode::unsupported),
              HasSubstr("I32"));
  EXPECT_THAT(add_error({"w", f32_, {4, 4, 4, 4}, Dtype::f32, bytes_, {}, {}}, ErrorCode::format),
              HasSubstr("[4, 4, 4, 4] is no vector, matrix or convolution"));
  EXPECT_THAT(add_error({"w", f32_, {0}, Dtype::f32, {}, {}, {}}, ErrorCode::format),
              HasSubstr("is no vector"));
  values_[63] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(add_error({"b", f32_, {64}, Dtype::f32, bytes_, {}, {}}, ErrorCode::numeric),
              HasSubstr("b: holds NaN"));
}

TEST(CpuEngine, ResultsThatAreNotFiniteAreNamed) {
  TinyBert bert(kOdd, {.dtype = Dtype::f32});
  StoredWeight& w = bert.stored("encoder.layer.1.output.dense.weight");
  std::vector<std::byte> damaged(w.codes.begin(), w.codes.end());
  const float infinity = std::numeric_limits<float>::infinity();
  std::memcpy(damaged.data(), &infinity, sizeof infinity);
  w.codes = damaged;
  const auto engine = make_cpu_engine({});
  bert.add_to(*engine);
  const Batch batch = random_batch(kOdd, {4, 3});
  RunResult result;
  EXPECT_THAT(error_text([&] { run(bert, *engine, batch); }, ErrorCode::numeric),
              HasSubstr("text 1, token 0: NaN in the output of layer 1"));
  EXPECT_THAT(
      error_text([&] { engine->run(bert.model, {.batch = batch, .wanted = {Output::text_logits}}, result); },
                 ErrorCode::numeric),
      HasSubstr("text 1: NaN in the logits"));
}

TEST(CpuEngine, IdsOutsideTheTablesAreRefused) {
  TinyBert bert(kOdd, {.dtype = Dtype::f32});
  const auto engine = make_cpu_engine({.threads = 2});
  bert.add_to(*engine);
  for (const int32_t id : {static_cast<int32_t>(kOdd.vocab_size), -1}) {
    Batch batch = random_batch(kOdd, {4, 3});
    batch.ids[5] = id;
    EXPECT_THAT(error_text([&] { run(bert, *engine, batch); }, ErrorCode::format),
                HasSubstr("embeddings.word_embeddings.weight: index " + std::to_string(id) +
                          " is out of range (37 rows)"));
  }
  const Batch longer = random_batch(kOdd, {513});
  EXPECT_THAT(error_text([&] { run(bert, *engine, longer); }, ErrorCode::format),
              HasSubstr("position_embeddings"));
}

TEST(CpuEngine, AWeightOfAnotherShapeOrNoneIsRefused) {
  TinyBert bert(kOdd, {.dtype = Dtype::f32});
  const auto engine = make_cpu_engine({});
  const Batch batch = random_batch(kOdd, {4});
  EXPECT_THAT(error_text([&] { run(bert, *engine, batch); }, ErrorCode::internal),
              HasSubstr("is out of range (0 weights)"));
  std::swap(bert.stored("encoder.layer.0.intermediate.dense.weight"),
            bert.stored("encoder.layer.0.output.dense.weight"));
  bert.add_to(*engine);
  EXPECT_THAT(error_text([&] { run(bert, *engine, batch); }, ErrorCode::format),
              HasSubstr("encoder.layer.0.output.dense.weight: not a [301, 39] matrix"));
}

TEST(CpuEngine, AnEmptyBatchGivesEmptyResults) {
  TinyBert bert(kOdd, {.dtype = Dtype::f32});
  const auto engine = make_cpu_engine({});
  bert.add_to(*engine);
  EXPECT_EQ(run(bert, *engine, {})[Output::hidden].rows, 0);
}

TEST(CpuEngine, SaysWhichVariantAndHowManyThreads) {
  EXPECT_EQ(make_cpu_engine({.threads = 1})->info().variant,
            std::string(name(active_variant())) + ", 1 thread");
  EXPECT_EQ(make_cpu_engine({.threads = 3})->info().variant,
            std::string(name(active_variant())) + ", 3 threads");
  EXPECT_EQ(make_cpu_engine({})->info().engine, "cpu");
}

#ifdef __linux__
// Repeats all tests above with each other variant, in processes of their own.
TEST(CpuEngineVariants, EachPassesTheEnginesTests) {
  expect_other_variants_pass("CpuEngine.*:*EveryScheme.IsTheNaive*");
}
#endif

}  // namespace
}  // namespace mlxe::test::engine_cpu_test
