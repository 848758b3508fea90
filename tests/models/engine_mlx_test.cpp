// Compares the mlx engine with the cpu engine (tested on its own) in every scheme. Also tests a missing
// module, bad input and threads.
#include "engine_mlx/mlx_engine.h"

#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <thread>

#include "engine_mlx/module_api.h"
#include "larger_error.h"
#include "models/engine.h"
#include "models/pipeline.h"
#include "models/random_model.h"
#include "test_files.h"

namespace mlxe::engine_mlx_test {
namespace {

using test::Kind;
using testing::HasSubstr;

constexpr Scheme kFloat{.mode = Mode::none, .bits = 0, .group_size = 0, .dtype = Dtype::f32};

// A module that was built must load. Only a build without the module may skip.
#define SKIP_WITHOUT_MLX()                                               \
  if (!std::filesystem::exists(MLXE_BUILD_DIR "/libmlxe_engine_mlx.so")) \
    GTEST_SKIP() << "this build has no MLX module (MLXE_WITH_MLX=OFF)";  \
  ASSERT_TRUE(mlx_status().available) << mlx_status().reason

// One model on both engines, from the same stored weights.
struct Pair {
  test::RandomWeights weights;
  std::unique_ptr<Engine> cpu = make_cpu_engine({}), mlx = make_mlx_engine({});
  Model cpu_model, mlx_model;

  // `damage` may replace a weight before the mlx engine gets it.
  explicit Pair(
      Kind kind, const Scheme& scheme, Activation activation = Activation::gelu_erf,
      const std::function<void(StoredWeight&)>& damage = [](StoredWeight&) {})
      : weights(scheme), cpu_model(test::tiny_model(kind, activation)), mlx_model(cpu_model) {
    std::vector<StoredWeight> stored;
    test::fill(cpu_model, [&](const Parameter& spec) {
      stored.push_back(weights.store(spec));
      return cpu->add(stored.back());
    });
    test::fill(mlx_model, [&, i = size_t{0}](const Parameter&) mutable {
      damage(stored[i]);
      return mlx->add(stored[i++]);
    });
  }

  RunResult expected(const RunRequest& request) { return run(*cpu, cpu_model, request); }
  RunResult actual(const RunRequest& request) { return run(*mlx, mlx_model, request); }

 private:
  static RunResult run(Engine& engine, const Model& model, const RunRequest& request) {
    RunResult result;
    engine.run(model, request, result);
    return result;
  }
};

RunRequest everything(const std::vector<int>& lengths) {
  return {.batch = test::random_batch(lengths),
          .wanted = {Output::layers, Output::hidden, Output::pooled, Output::sentence, Output::text_logits}};
}

double largest(const Matrix& m) {
  double most = 0;
  for (const float v : m.values) most = std::max(most, std::abs(static_cast<double>(v)));
  return most;
}

double difference(const Matrix& a, const Matrix& b) {
  EXPECT_EQ(a.rows, b.rows);
  EXPECT_EQ(a.columns, b.columns);
  if (a.values.size() != b.values.size()) return INFINITY;
  double most = 0;
  for (size_t i = 0; i < a.values.size(); ++i)
    most = test::larger_error(most, std::abs(static_cast<double>(a.values[i]) - b.values[i]));
  return most;
}

// The error of a float32 sum of K <= 128 products is about sqrt(K) * 2^-24 = 7e-7 of its size. A layer has
// some ten such sums in a row; the layer norms keep the size near 1. The project promises 1e-5 of the
// largest activation.
constexpr double kTolerance = 1e-5;

void expect_same(const Matrix& actual, const Matrix& expected, const std::string& what) {
  EXPECT_LE(difference(actual, expected), kTolerance * largest(expected)) << what;
}

void expect_same(const RunResult& actual, const RunResult& expected) {
  ASSERT_EQ(actual.layers.size(), expected.layers.size());
  for (size_t i = 0; i < expected.layers.size(); ++i)
    expect_same(actual.layers[i], expected.layers[i], "layer " + std::to_string(i));
  expect_same(actual[Output::hidden], expected[Output::hidden], "hidden");
  expect_same(actual[Output::pooled], expected[Output::pooled], "pooler");
  expect_same(actual[Output::sentence], expected[Output::sentence], "sentence");
  expect_same(actual[Output::text_logits], expected[Output::text_logits], "logits");
}

// Lengths around the sizes at which kernels change their path, and the shortest texts.
const std::vector<int> kLengths{1, 31, 32, 33, 127, 128, 129, 2};

struct Case {
  const char* name;
  Kind kind;
  Scheme scheme;
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << c.name;
}

class MlxEngineCase : public testing::TestWithParam<Case> {};

TEST_P(MlxEngineCase, ComputesWhatTheCpuEngineComputes) {
  SKIP_WITHOUT_MLX();
  Pair pair(GetParam().kind, GetParam().scheme);
  const RunRequest request = everything(kLengths);
  expect_same(pair.actual(request), pair.expected(request));
}

constexpr Scheme affine(int bits, int group, Dtype dtype = Dtype::f16) {
  return {.mode = Mode::affine, .bits = bits, .group_size = group, .dtype = dtype};
}
constexpr Scheme plain(Dtype dtype) {
  return {.mode = Mode::none, .bits = 0, .group_size = 0, .dtype = dtype};
}
constexpr Scheme of(Mode mode, int bits, int group) {
  return {.mode = mode, .bits = bits, .group_size = group, .dtype = Dtype::f16};
}

INSTANTIATE_TEST_SUITE_P(
    Schemes, MlxEngineCase,
    testing::Values(
        Case{"bert_f32", Kind::bert, plain(Dtype::f32)}, Case{"bert_f16", Kind::bert, plain(Dtype::f16)},
        Case{"bert_bf16", Kind::bert, plain(Dtype::bf16)},
        Case{"distilbert_f32", Kind::distilbert, plain(Dtype::f32)},
        Case{"roberta_f32", Kind::roberta, plain(Dtype::f32)},
        Case{"albert_f32", Kind::albert, plain(Dtype::f32)},
        Case{"albert_affine8", Kind::albert, affine(8, 64)},
        Case{"mpnet_f32", Kind::mpnet, plain(Dtype::f32)}, Case{"mpnet_affine8", Kind::mpnet, affine(8, 64)},
        Case{"modernbert_f32", Kind::modernbert, plain(Dtype::f32)},
        Case{"modernbert_affine4", Kind::modernbert, affine(4, 64)},
        Case{"deberta_v2_f32", Kind::deberta_v2, plain(Dtype::f32)},
        Case{"deberta_v2_affine8", Kind::deberta_v2, affine(8, 64)},
        Case{"qwen3_f32", Kind::qwen3, plain(Dtype::f32)}, Case{"qwen3_affine4", Kind::qwen3, affine(4, 64)},
        Case{"gemma3_f32", Kind::gemma3, plain(Dtype::f32)},
        Case{"gemma3_affine4", Kind::gemma3, affine(4, 64)}, Case{"gte_f32", Kind::gte, plain(Dtype::f32)},
        Case{"gte_affine4", Kind::gte, affine(4, 64)},
        Case{"jina_bert_f32", Kind::jina_bert, plain(Dtype::f32)},
        Case{"jina_bert_affine4", Kind::jina_bert, affine(4, 64)},
        Case{"bert_affine2", Kind::bert, affine(2, 32)}, Case{"bert_affine3", Kind::bert, affine(3, 64)},
        Case{"bert_affine4", Kind::bert, affine(4, 64)}, Case{"bert_affine5", Kind::bert, affine(5, 32)},
        Case{"bert_affine6", Kind::bert, affine(6, 64)}, Case{"bert_affine8", Kind::bert, affine(8, 64)},
        Case{"bert_affine8_f32", Kind::bert, affine(8, 32, Dtype::f32)},
        Case{"bert_affine4_bf16", Kind::bert, affine(4, 64, Dtype::bf16)},
        Case{"distilbert_affine8", Kind::distilbert, affine(8, 64)},
        Case{"roberta_affine4", Kind::roberta, affine(4, 32)},
        Case{"bert_mxfp4", Kind::bert, of(Mode::mxfp4, 4, 32)},
        Case{"bert_mxfp8", Kind::bert, of(Mode::mxfp8, 8, 32)},
        Case{"bert_nvfp4", Kind::bert, of(Mode::nvfp4, 4, 16)},
        Case{"bert_int8", Kind::bert, of(Mode::int8, 8, 0)},
        Case{"bert_fake", Kind::bert, of(Mode::fake, 8, 0)}),
    [](const auto& instance) { return std::string(instance.param.name); });

// The texts are longer than the blocks of queries of windowed attention, on both engines. Angles of rotary positions
// are rounded to float32. This adds an error of at most 2^-24 times the angle, which is at most the length in radians.
TEST(MlxEngine, WindowsOfLongTexts) {
  SKIP_WITHOUT_MLX();
  Pair pair(Kind::modernbert, kFloat);
  constexpr int kLength = 700;
  const RunRequest request{.batch = test::random_batch({kLength, 300}), .wanted = {Output::hidden}};
  const Matrix expected = pair.expected(request)[Output::hidden],
               actual = pair.actual(request)[Output::hidden];
  const double bound = (kTolerance + kLength * 0x1p-24) * largest(expected);
  EXPECT_LE(difference(actual, expected), bound);
  // The twin: a window that is one token wider.
  for (PlanOp& op : pair.cpu_model.plan.whole.ops)
    if (op.attention.window > 0) ++op.attention.window;
  EXPECT_GT(difference(actual, pair.expected(request)[Output::hidden]), 10 * bound);
}

// The twin: the comparison above notices a changed exponent of one scale of one matrix.
// The scores of the longer text are more than one block.
TEST(MlxEngine, LinearBiasesOfLongTexts) {
  SKIP_WITHOUT_MLX();
  Pair pair(Kind::jina_bert, kFloat);
  const RunRequest request{.batch = test::random_batch({4200, 30}), .wanted = {Output::hidden}};
  const Matrix expected = pair.expected(request)[Output::hidden],
               actual = pair.actual(request)[Output::hidden];
  EXPECT_LE(difference(actual, expected), kTolerance * largest(expected));
  // The twin: no biases.
  for (PlanOp& op : pair.cpu_model.plan.whole.ops) op.attention.alibi = false;
  EXPECT_GT(difference(actual, pair.expected(request)[Output::hidden]), 10 * kTolerance * largest(expected));
}

TEST(MlxEngine, NoticesOneDamagedScale) {
  SKIP_WITHOUT_MLX();
  std::vector<std::byte> damaged;
  Pair pair(Kind::bert, affine(8, 32), Activation::gelu_erf, [&](StoredWeight& weight) {
    if (weight.name != "encoder.layer.1.output.dense.weight") return;
    damaged.assign(weight.scales.begin(), weight.scales.end());
    damaged[1] ^= std::byte{0x04};  // the lowest bit of the first float16's exponent
    weight.scales = damaged;
  });
  const RunRequest request = everything(kLengths);
  const RunResult actual = pair.actual(request), expected = pair.expected(request);
  ASSERT_FALSE(damaged.empty());
  expect_same(actual.layers[1], expected.layers[1], "the layer before it");
  EXPECT_GT(difference(actual[Output::hidden], expected[Output::hidden]),
            100 * kTolerance * largest(expected[Output::hidden]));
  EXPECT_GT(difference(actual[Output::sentence], expected[Output::sentence]),
            10 * kTolerance * largest(expected[Output::sentence]));
}

TEST(MlxEngine, KnowsEveryActivation) {
  SKIP_WITHOUT_MLX();
  for (const Activation activation :
       {Activation::identity, Activation::relu, Activation::gelu_erf, Activation::gelu_tanh,
        Activation::gelu_quick, Activation::silu, Activation::tanh, Activation::sigmoid}) {
    Pair pair(Kind::bert, kFloat, activation);
    const RunRequest request{.batch = test::random_batch({9, 4}), .wanted = {Output::hidden}};
    expect_same(pair.actual(request)[Output::hidden], pair.expected(request)[Output::hidden],
                name(activation));
  }
}

TEST(MlxEngine, PoolsAsTheCpuEngineDoes) {
  SKIP_WITHOUT_MLX();
  Pair pair(Kind::bert, kFloat);
  const std::vector<PoolingKind> kinds{PoolingKind::cls,           PoolingKind::max,
                                       PoolingKind::mean,          PoolingKind::mean_sqrt_len,
                                       PoolingKind::weighted_mean, PoolingKind::last_token};
  for (Model* model : {&pair.mlx_model, &pair.cpu_model}) test::set_pipeline(*model, {PoolingSpec{kinds}});
  RunRequest request{.batch = test::random_batch({7, 1, 12, 7}), .wanted = {Output::sentence}};
  request.batch.pool_from = {0, 0, 5, 6};  // two prompts; the second leaves only the last token
  expect_same(pair.actual(request)[Output::sentence], pair.expected(request)[Output::sentence], "pooled");
  // Texts with only a prompt. Without max pooling, because the maximum of no tokens is not a number.
  request.batch.pool_from = {7, 0, 99, 0};
  for (Model* model : {&pair.mlx_model, &pair.cpu_model})
    test::set_pipeline(*model, {PoolingSpec{{PoolingKind::cls, PoolingKind::mean, PoolingKind::mean_sqrt_len,
                                             PoolingKind::weighted_mean, PoolingKind::last_token}}});
  expect_same(pair.actual(request)[Output::sentence], pair.expected(request)[Output::sentence],
              "nothing but a prompt");
}

TEST(MlxEngine, ComputesTheFirstTokenAloneForHeadsThatReadNoOther) {
  SKIP_WITHOUT_MLX();
  for (const Kind kind : {Kind::bert, Kind::distilbert}) {
    Pair pair(kind, kFloat);
    for (Model* model : {&pair.mlx_model, &pair.cpu_model})
      test::set_pipeline(*model, {PoolingSpec{{PoolingKind::cls}}});
    for (const std::vector<int>& lengths : {kLengths, std::vector<int>{5, 5, 5}, std::vector<int>{1, 1}}) {
      RunRequest request = everything(lengths);
      request.wanted.remove(Output::layers);
      request.wanted.remove(Output::hidden);
      const RunResult heads = pair.actual(request);
      expect_same(heads, pair.expected(request));
      EXPECT_EQ(heads[Output::sentence].rows, static_cast<int64_t>(lengths.size()));
      expect_same(heads[Output::text_logits], pair.actual(everything(lengths))[Output::text_logits],
                  "logits of a run that gives all");
    }
  }
}

// More padded tokens than one attention chunk holds, with equal and with different lengths.
TEST(MlxEngine, CutsLargeBatchesIntoChunks) {
  SKIP_WITHOUT_MLX();
  Pair pair(Kind::distilbert, kFloat);
  std::vector<int> lengths(80, 128);
  lengths.back() = 3;
  const RunRequest request{.batch = test::random_batch(lengths),
                           .wanted = {Output::hidden, Output::sentence}};
  const RunResult actual = pair.actual(request), expected = pair.expected(request);
  expect_same(actual[Output::hidden], expected[Output::hidden], "hidden");
  expect_same(actual[Output::sentence], expected[Output::sentence], "sentence");
}

TEST(MlxEngine, GivesNothingForNothing) {
  SKIP_WITHOUT_MLX();
  Pair pair(Kind::bert, kFloat);
  const RunResult result =
      pair.actual({.batch = {}, .wanted = {Output::layers, Output::hidden, Output::sentence}});
  EXPECT_TRUE(result.layers.empty());
  EXPECT_EQ(result[Output::hidden].rows, 0);
}

TEST(MlxEngine, GivesATextTheSameVectorsInAnyBatch) {
  SKIP_WITHOUT_MLX();
  Pair pair(Kind::roberta, affine(4, 64));
  const RunRequest together{.batch = test::random_batch({40, 3, 17}), .wanted = {Output::sentence}};
  const Matrix all = pair.actual(together)[Output::sentence];
  for (int64_t b = 0; b < 3; ++b) {
    const auto begin = together.batch.ids.begin();
    RunRequest alone{.wanted = {Output::sentence}};
    alone.batch.append(
        std::vector<int32_t>(begin + together.batch.offsets[b], begin + together.batch.offsets[b + 1]),
        std::span(together.batch.token_types).subspan(together.batch.offsets[b], together.batch.length(b)));
    const Matrix one = pair.actual(alone)[Output::sentence];
    const Matrix row{
        1, all.columns, {all.values.begin() + b * all.columns, all.values.begin() + (b + 1) * all.columns}};
    expect_same(one, row, "text " + std::to_string(b));
  }
}

TEST(MlxEngine, ServesSeveralThreads) {
  SKIP_WITHOUT_MLX();
  Pair pair(Kind::bert, affine(8, 64));
  const RunRequest request{.batch = test::random_batch({6, 11}), .wanted = {Output::hidden}};
  const Matrix alone = pair.actual(request)[Output::hidden];
  std::vector<Matrix> results(4);
  std::vector<std::thread> threads;
  for (Matrix& result : results)
    threads.emplace_back([&] {
      for (int i = 0; i < 5; ++i) result = pair.actual(request)[Output::hidden];
    });
  for (std::thread& thread : threads) thread.join();
  for (const Matrix& result : results) EXPECT_EQ(result.values, alone.values);
}

TEST(MlxEngine, SaysWhatItWidened) {
  SKIP_WITHOUT_MLX();
  EXPECT_THAT(Pair(Kind::bert, kFloat).mlx->info().notes, testing::IsEmpty());
  EXPECT_EQ(Pair(Kind::bert, kFloat).mlx->info().engine, "mlx");
  if (mlx_status().device != "cpu") GTEST_SKIP() << "a GPU computes in the file's own type";
  EXPECT_THAT(Pair(Kind::bert, affine(4, 64)).mlx->info().notes,
              testing::ElementsAre(HasSubstr("widened to float32")));
  EXPECT_THAT(Pair(Kind::bert, of(Mode::int8, 8, 0)).mlx->info().notes,
              testing::Contains(HasSubstr("int8 matrices were dequantized to float32")));
}

TEST(MlxEngine, RefusesResultsThatAreNoNumbers) {
  SKIP_WITHOUT_MLX();
  Pair pair(Kind::bert, kFloat);
  const std::vector<float> infinite(test::kHidden, INFINITY);
  const StoredWeight bias{.name = "bias",
                          .scheme = kFloat,
                          .shape = {test::kHidden},
                          .dtype = Dtype::f32,
                          .codes = std::as_bytes(std::span(infinite)),
                          .scales = {},
                          .biases = {}};
  for (Parameter& p : pair.mlx_model.plan.parameters)
    if (p.component == Component::head && p.shape == bias.shape) p.handle = pair.mlx->add(bias);
  EXPECT_EQ(pair.actual({.batch = test::random_batch({4}), .wanted = {Output::hidden}})[Output::hidden].rows,
            4);
  const std::string text = test::error_text(
      [&] { pair.actual({.batch = test::random_batch({4}), .wanted = {Output::text_logits}}); },
      ErrorCode::numeric);
  EXPECT_THAT(text, testing::ContainsRegex("text 1: (NaN|infinity) in the logits"));
}

TEST(MlxEngine, RefusesTokensOutsideTheVocabulary) {
  SKIP_WITHOUT_MLX();
  Pair pair(Kind::bert, kFloat);
  for (const int32_t id : {-1, static_cast<int32_t>(test::kVocabulary)}) {
    RunRequest request{.batch = test::random_batch({3}), .wanted = {Output::hidden}};
    request.batch.ids[1] = id;
    EXPECT_THAT(test::error_text([&] { pair.actual(request); }, ErrorCode::format),
                HasSubstr(std::to_string(id)));
  }
  const RunRequest long_text{.batch = test::random_batch({test::kPositions + 1}), .wanted = {Output::hidden}};
  EXPECT_THAT(test::error_text([&] { pair.actual(long_text); }, ErrorCode::format), HasSubstr("160"));
}

TEST(MlxEngine, RefusesBytesThatContradictTheShape) {
  SKIP_WITHOUT_MLX();
  const auto engine = make_mlx_engine({});
  test::RandomWeights weights(affine(8, 64));
  StoredWeight stored = weights.store({"w.weight", {64, 64}, Role::linear});
  stored.scales = stored.scales.first(stored.scales.size() - 1);
  EXPECT_THAT(test::error_text([&] { engine->add(stored); }, ErrorCode::format), HasSubstr("w.weight"));
}

TEST(MlxEngine, RefusesAnotherBuildsModule) {
  SKIP_WITHOUT_MLX();
  void* handle = ::dlopen(mlx_status().module_path.c_str(), RTLD_NOW);
  ASSERT_NE(handle, nullptr);
  const auto factory = reinterpret_cast<MlxModuleFactory*>(::dlsym(handle, kMlxModuleFactory));
  ASSERT_NE(factory, nullptr);
  ModuleOutcome outcome;
  EXPECT_NE(factory(&kModuleAbi, &outcome), nullptr);
  EXPECT_FALSE(outcome.failed);
  ModuleAbi other = kModuleAbi;
  other.front() ^= 1;  // the hash of the headers
  EXPECT_EQ(factory(&other, &outcome), nullptr);
  other = kModuleAbi;
  other.back() += 8;
  EXPECT_EQ(factory(&other, &outcome), nullptr);
  EXPECT_TRUE(outcome.failed);
  EXPECT_THAT(outcome.text, HasSubstr("another build"));
}

// These tests need a process that has not loaded the module yet: the child restarts from main().
class MlxModuleDeathTest : public testing::Test {
 protected:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }

  static bool maps(std::string_view library) {
    const std::string text = test::read_file("/proc/self/maps");
    return text.find(library) != std::string::npos;
  }

  [[noreturn]] static void exit_with_error_text() {
    std::string text = "nothing was thrown";
    try {
      make_mlx_engine({});
    } catch (const Error& error) {
      text = std::string(name(error.code())) + ": " + error.what();
    }
    std::fputs(text.c_str(), stderr);
    std::exit(0);
  }
};

// A run on the cpu engine must not pay for libmlx and its BLAS.
TEST_F(MlxModuleDeathTest, TheCpuEngineLoadsNothingOfMlx) {
  EXPECT_EXIT(
      {
        test::RandomWeights weights(affine(4, 64));
        Model model = test::tiny_model(Kind::bert);
        const auto engine = make_cpu_engine({});
        test::fill(model, [&](const Parameter& spec) { return engine->add(weights.store(spec)); });
        RunResult result;
        engine->run(model, everything({3, 5}), result);
        if (maps("mlxe_engine_mlx") || maps("libmlx.")) std::exit(1);
        std::exit(mlx_status().available == maps("libmlx.") ? 0 : 2);  // the twin: asking for MLX loads it
      },
      testing::ExitedWithCode(0), "");
}

TEST_F(MlxModuleDeathTest, IsClearAboutAnEmptyEngineFolder) {
  const test::TemporaryFolder empty;
  EXPECT_EXIT(
      {
        ::setenv("MLXE_ENGINE_DIR", empty.path().c_str(), 1);
        exit_with_error_text();
      },
      testing::ExitedWithCode(0),
      "^unsupported: mlx engine: MLX is not available: MLXE_ENGINE_DIR: .*libmlxe_engine_mlx.so");
}

TEST_F(MlxModuleDeathTest, IsClearAboutAFolderWithoutLibmlx) {
  const test::TemporaryFolder empty;
  EXPECT_EXIT(
      {
        ::setenv("MLXE_MLX_LIB", empty.path().c_str(), 1);
        exit_with_error_text();
      },
      testing::ExitedWithCode(0), "^unsupported: .*MLXE_MLX_LIB: .*libmlx");
}

TEST_F(MlxModuleDeathTest, RefusesAFileThatIsNoModule) {
  const test::TemporaryFolder folder;
  test::write_file(folder / "libmlxe_engine_mlx.so", "not a library");
  EXPECT_EXIT(
      {
        ::setenv("MLXE_ENGINE_DIR", folder.path().c_str(), 1);
        exit_with_error_text();
      },
      testing::ExitedWithCode(0), "^unsupported: .*invalid ELF header|^unsupported: .*file too short");
}

}  // namespace
}  // namespace mlxe::engine_mlx_test
