// The cpu engine with 8-bit activations: the packed form of each scheme, a small BERT against the naive
// double-precision forward pass, and against itself.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <future>

#include "base/half.h"
#include "engine_cpu/packed_weight.h"
#include "models/engine_runs.h"
#include "resident_memory.h"
#include "sanitizers.h"

namespace mlxe::test::int8_engine_test {
namespace {

class EveryQuantizedScheme : public testing::TestWithParam<Scheme> {};
INSTANTIATE_TEST_SUITE_P(, EveryQuantizedScheme, testing::ValuesIn(quantized_schemes()), scheme_name);

// (code - 128) * scale + bias of the packed form equals dequantize(), except for rounding the bias to
// bfloat16 and a few float32 roundings.
TEST_P(EveryQuantizedScheme, PackedValuesAreTheStoredOnes) {
  const Scheme scheme = GetParam();
  const int64_t rows = 45, columns = scheme.mode == Mode::int8 ? 200 : 256;
  std::mt19937 random(4);
  std::normal_distribution<float> normal(0.02f, 0.1f);
  std::vector<float> values(static_cast<size_t>(rows * columns));
  for (float& v : values) v = normal(random);
  QuantizedMatrix m = quantize(std::as_bytes(std::span(values)), Dtype::f32, rows, columns, scheme, 1);
  for (size_t i = 0; scheme.mode == Mode::nvfp4 && i < m.scales.size(); i += 3)
    m.scales[i] |= std::byte{0x80};  // negative scales: legal, though no writer uses them
  const std::vector<float> expected = dequantize(m);
  const StoredWeight stored{"w", scheme, {rows, columns}, scheme.dtype, m.codes, m.scales, m.biases};
  const int own = cpu::code_group(scheme);
  for (int group : {own, own / 2}) {
    if (group < 16) continue;
    cpu::PackedWeight packed(stored, group, Activations::int8);
    std::vector<std::byte> memory(packed.bytes() + 64);
    packed.place(memory.data() + (64 - reinterpret_cast<uintptr_t>(memory.data()) % 64));
    for (int64_t p = 0; p < packed.panels(); ++p) packed.fill(p);
    EXPECT_EQ(packed.columns() % 64, 0);
    std::vector<uint8_t> expanded(static_cast<size_t>(packed.columns() * kInt8Panel));
    for (int64_t p = 0; p < packed.panels(); ++p) {
      const Int8Weights w = packed.int8_panel(kInt8Scalar, p, 0, packed.columns(), expanded.data());
      for (int64_t n = p * 32; n < (p + 1) * 32; ++n)
        for (int64_t k = 0; k < packed.columns(); ++k) {
          const int64_t g = k / group, at = g * 32 + n % 32;
          const float code = w.codes[(k / 4 * 32 + n % 32) * 4 + k % 4];
          const float bias = bf16_to_float(w.biases[(g / 2 * 32 + n % 32) * 2 + g % 2]);
          const auto weight = [&](float c) { return (c - kInt8ZeroPoint) * w.scales[at] + bias; };
          if (n >= rows) {
            ASSERT_EQ(weight(code), 0.0f) << n << ", " << k;
            continue;
          }
          if (k >= columns) continue;  // padding: multiplied by activations that are 0
          const float value = expected[static_cast<size_t>(n * columns + k)];
          // The error of the bias is half a unit of bfloat16's eight bits; the rest is a few roundings.
          const float bound = 0x1p-8f * std::abs(bias) + 4 * 0x1p-24f * 255 * std::abs(w.scales[at]);
          ASSERT_NEAR(weight(code), value, bound) << n << ", " << k;
          // The twin: the next code gives another value. Codes of up to 4 bits are in the upper bits of a
          // byte.
          const bool upper = scheme.mode == Mode::affine && scheme.bits <= 4;
          const float next = code + static_cast<float>(upper ? 1 << (8 - scheme.bits) : 1);
          ASSERT_GT(std::abs(weight(next) - value), bound) << n << ", " << k;
        }
    }
  }
}

// Rounding a group of 64 normal values to 127 steps of their maximum (about 2.6 deviations) adds noise of
// (2.6 / 127)^2 / 12 = 3.5e-5 of their power. After a GELU, whose values are spread more widely, the noise
// is two to three times that. Ten products in a row over two layers give about 5e-4, half of it orthogonal
// to the vector. So 1 - cosine is 2.5e-4 in the mean, and a few times that for the worst of a hundred
// tokens.
constexpr double kAngle = 1.5e-3;

TEST_P(EveryQuantizedScheme, IsNearTheNaiveForwardOfItsDequantizedWeights) {
  TinyBert bert(kEven, GetParam());
  const auto engine = make_cpu_engine({.activations = Activations::int8});
  bert.add_to(*engine);
  const Batch batch = random_batch(kEven, {5, 33, 1, 64});
  const double angle = worst_angle(bert, run(bert, *engine, batch), batch);
  EXPECT_LE(angle, kAngle);
  EXPECT_GT(angle, 1e-6) << "activations are not 8-bit at all";
}

// The twin: the scales of the first output column, 1 / 128 of the last product, are off by a factor of at
// least 2.
TEST_P(EveryQuantizedScheme, OneDamagedScaleShows) {
  TinyBert bert(kEven, GetParam());
  const std::vector<std::byte> damaged = damage_last_scales(bert);
  const auto engine = make_cpu_engine({.activations = Activations::int8});
  bert.add_to(*engine);
  const Batch batch = random_batch(kEven, {5, 33, 1, 64});
  EXPECT_GT(worst_angle(bert, run(bert, *engine, batch), batch), 2 * kAngle);
}

TEST(Int8Engine, WidthsThatFillNoGroup) {
  BertConfig config = kEven;
  config.hidden_size = 96, config.heads = 3, config.intermediate_size = 352;
  TinyBert bert(config, {Mode::affine, 8, 32, Dtype::f16});
  const auto engine = make_cpu_engine({.activations = Activations::int8});
  bert.add_to(*engine);
  const Batch batch = random_batch(config, {5, 33, 1, 64});
  EXPECT_LE(worst_angle(bert, run(bert, *engine, batch), batch), kAngle);
}

TEST(Int8Engine, ATextHasTheSameBitsAloneAndInAnyBatchOnAnyNumberOfThreads) {
  const std::vector<int64_t> lengths{33, 1, 2, 32, 129, 31, 5, 17, 257, 16, 64};
  for (const Scheme& scheme :
       {Scheme{Mode::affine, 8, 64, Dtype::f16}, Scheme{Mode::affine, 4, 32, Dtype::f16}})
    expect_same_bits_alone_and_together(scheme, lengths, Activations::int8);
}

TEST(Int8Engine, HeadsOfTheFirstTokenKeepTheirBits) {
  expect_first_token_heads_keep_their_bits({Mode::affine, 8, 64, Dtype::f16}, Activations::int8);
}

TEST(Int8Engine, ConcurrentFirstCallsPackOnceAndDontMix) {
  TinyBert bert(kEven, {Mode::affine, 8, 64, Dtype::f16});
  const Batch batch = random_batch(kEven, {10, 3, 51});
  const auto alone = make_cpu_engine({.threads = 2, .activations = Activations::int8});
  bert.add_to(*alone);
  const RunResult expected = run(bert, *alone, batch);
  for (int round = 0; round < 5; ++round) {
    const auto engine = make_cpu_engine({.threads = 2, .activations = Activations::int8});
    TinyBert own(kEven, {Mode::affine, 8, 64, Dtype::f16});
    own.add_to(*engine);
    std::vector<std::future<void>> callers;
    for (int i = 0; i < 4; ++i)
      callers.push_back(std::async(std::launch::async, [&] {
        for (int k = 0; k < 5; ++k) {
          const RunResult found = run(own, *engine, batch);
          expect_same_bits(expected[Output::hidden], 0, found[Output::hidden], 0, found[Output::hidden].rows,
                           "a caller");
        }
      }));
    for (auto& c : callers) c.get();
  }
}

TEST(Int8Engine, ModelsOfFloatsKeepFloat32) {
  TinyBert bert(kEven, {.dtype = Dtype::f32});
  const Batch batch = random_batch(kEven, {10, 3, 51});
  const auto exact = make_cpu_engine({}), fast = make_cpu_engine({.activations = Activations::int8});
  bert.add_to(*exact);
  const RunResult a = run(bert, *exact, batch);
  bert.add_to(*fast);
  const RunResult b = run(bert, *fast, batch);
  expect_same_bits(a[Output::hidden], 0, b[Output::hidden], 0, a[Output::hidden].rows, "float weights");
  EXPECT_EQ(fast->info().activations, Activations::float32);
  EXPECT_EQ(exact->info().activations, Activations::float32);
}

TEST(Int8Engine, AutomaticIsInt8WhereKernelsAreMadeForIt) {
  const Activations expected = has_int8_kernels(active_variant()) ? Activations::int8 : Activations::float32;
  const auto automatic = make_cpu_engine({.activations = Activations::automatic}),
             int8 = make_cpu_engine({.activations = Activations::int8});
  TinyBert bert(kEven, {Mode::affine, 8, 64, Dtype::f16});
  bert.add_to(*automatic);
  EXPECT_EQ(automatic->info().activations, expected);
  bert.add_to(*int8);
  EXPECT_EQ(int8->info().notes.empty(), expected == Activations::int8);
}

#ifdef __linux__
TEST(Int8Engine, TenThousandMixedCallsFromEightThreadsAreThoseOfOneAndMemoryStaysFlat) {
  TinyBert bert(kEven, {Mode::affine, 8, 64, Dtype::f16});
  const auto engine = make_cpu_engine({.threads = 2, .activations = Activations::int8});
  bert.add_to(*engine);
  constexpr size_t kInputs = 25;
  std::vector<Batch> inputs;
  std::vector<RunResult> expected;
  std::mt19937 random(2);
  for (uint32_t i = 0; i < kInputs; ++i) {
    std::vector<int64_t> lengths(1 + random() % 4);
    for (int64_t& n : lengths) n = 1 + static_cast<int64_t>(random() % 40);
    inputs.push_back(random_batch(kEven, lengths, i));
    expected.push_back(run(bert, *engine, inputs.back()));
  }
  // Sanitizers slow each call down and use memory of their own. They find errors in fewer calls.
  constexpr int kCalls = kSanitized ? 100 : 1250;
  std::atomic<int> wrong{0};
  const auto round = [&](int calls) {
    std::vector<std::future<void>> callers;
    for (uint32_t t = 0; t < 8; ++t)
      callers.push_back(std::async(std::launch::async, [&, t, calls] {
        std::mt19937 pick(t);
        for (int i = 0; i < calls; ++i) {
          const size_t which = pick() % kInputs;
          const RunResult found = run(bert, *engine, inputs[which]);
          wrong += found[Output::hidden].values != expected[which][Output::hidden].values ||
                   found[Output::text_logits].values != expected[which][Output::text_logits].values;
        }
      }));
    for (auto& c : callers) c.get();
  };
  round(kCalls / 10);  // so that every caller has its workspace
  const int64_t before = resident_bytes();
  round(kCalls);
  EXPECT_EQ(wrong, 0);
  // The heap may grow by a few pages for each thread. A leak of one result a call would be 60 MB.
  if (!kSanitized) {
    EXPECT_LE(resident_bytes() - before, 8 << 20);
  }
}

// Repeats the tests that depend on the kernels with each other variant, in processes of their own.
TEST(Int8EngineVariants, EachIsNearTheNaiveForwardAndKeepsItsBits) {
  expect_other_variants_pass(
      "Int8Engine.Widths*:Int8Engine.AText*:Int8Engine.Heads*:Int8Engine.Auto*:*EveryQuantizedScheme."
      "IsNear*");
}
#endif

}  // namespace
}  // namespace mlxe::test::int8_engine_test
