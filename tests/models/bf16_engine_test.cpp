// The cpu engine with bfloat16 activations: a small BERT of every scheme against the naive double-precision
// forward pass, and against itself.
#include <gtest/gtest.h>

#include "models/engine_runs.h"

namespace mlxe::test::bf16_engine_test {
namespace {

std::vector<Scheme> all_schemes() {
  std::vector<Scheme> schemes = quantized_schemes();
  schemes.push_back({Mode::mxfp8, 8, 32, Dtype::f16});
  for (Dtype dtype : {Dtype::f32, Dtype::f16, Dtype::bf16}) schemes.push_back({.dtype = dtype});
  return schemes;
}

class Bf16EngineScheme : public testing::TestWithParam<Scheme> {};
INSTANTIATE_TEST_SUITE_P(, Bf16EngineScheme, testing::ValuesIn(all_schemes()), scheme_name);

// Rounding to bfloat16 adds noise of 2^-15 / 12 = 2.5e-6 of the power, to activations and to weights. Ten
// products in a row over two layers give about 5e-5, half of it orthogonal to the vector. So 1 - cosine is
// 2.5e-5 in the mean, and a few times that for the worst of a hundred tokens.
constexpr double kAngle = 1.5e-4;

TEST_P(Bf16EngineScheme, IsNearTheNaiveForwardOfItsDequantizedWeights) {
  TinyBert bert(kEven, GetParam());
  const auto engine = make_cpu_engine({.activations = Activations::bf16});
  bert.add_to(*engine);
  const Batch batch = random_batch(kEven, {5, 33, 1, 64});
  const double angle = worst_angle(bert, run(bert, *engine, batch), batch);
  EXPECT_LE(angle, kAngle);
  EXPECT_GT(angle, 1e-7) << "activations are not bfloat16 at all";
}

TEST_P(Bf16EngineScheme, OneDamagedScaleShows) {
  if (GetParam().mode == Mode::none) GTEST_SKIP() << "floats have no scales";
  TinyBert bert(kEven, GetParam());
  const std::vector<std::byte> damaged = damage_last_scales(bert);
  const auto engine = make_cpu_engine({.activations = Activations::bf16});
  bert.add_to(*engine);
  const Batch batch = random_batch(kEven, {5, 33, 1, 64});
  EXPECT_GT(worst_angle(bert, run(bert, *engine, batch), batch), 2 * kAngle);
}

TEST(Bf16Engine, WidthsThatFillNoGroup) {
  BertConfig config = kEven;
  config.hidden_size = 96, config.heads = 3, config.intermediate_size = 352;
  for (const Scheme& scheme : {Scheme{Mode::affine, 8, 32, Dtype::f16}, Scheme{.dtype = Dtype::f32}}) {
    TinyBert bert(config, scheme);
    const auto engine = make_cpu_engine({.activations = Activations::bf16});
    bert.add_to(*engine);
    const Batch batch = random_batch(config, {5, 33, 1, 64});
    EXPECT_LE(worst_angle(bert, run(bert, *engine, batch), batch), kAngle);
  }
}

TEST(Bf16Engine, ATextHasTheSameBitsAloneAndInAnyBatchOnAnyNumberOfThreads) {
  const std::vector<int64_t> lengths{33, 1, 2, 32, 129, 31, 5, 17, 16, 64, 300};
  for (const Scheme& scheme : {Scheme{Mode::affine, 4, 32, Dtype::f16}, Scheme{.dtype = Dtype::f32}})
    expect_same_bits_alone_and_together(scheme, lengths, Activations::bf16);
}

TEST(Bf16Engine, HeadsOfTheFirstTokenKeepTheirBits) {
  expect_first_token_heads_keep_their_bits({Mode::affine, 8, 64, Dtype::f16}, Activations::bf16);
}

// If bf16 is requested, all matrices use it. The automatic choice leaves float matrices in float32.
TEST(Bf16Engine, MatricesOfFloatsTakeItOnRequestOnly) {
  TinyBert bert(kEven, {.dtype = Dtype::f32});
  const Batch batch = random_batch(kEven, {10, 3, 51});
  const auto exact = make_cpu_engine({}), rounded = make_cpu_engine({.activations = Activations::bf16}),
             automatic = make_cpu_engine({.activations = Activations::automatic});
  bert.add_to(*exact);
  const RunResult a = run(bert, *exact, batch);
  bert.add_to(*rounded);
  const RunResult b = run(bert, *rounded, batch);
  EXPECT_NE(a[Output::hidden].values, b[Output::hidden].values);
  EXPECT_EQ(rounded->info().activations, Activations::bf16);
  bert.add_to(*automatic);
  EXPECT_EQ(a[Output::hidden].values, run(bert, *automatic, batch)[Output::hidden].values);
}

#ifdef __linux__
TEST(Bf16EngineVariants, EachIsNearTheNaiveForwardAndKeepsItsBits) {
  expect_other_variants_pass(
      "Bf16Engine.Widths*:Bf16Engine.AText*:Bf16Engine.Heads*:*Bf16EngineScheme.IsNear*");
}
#endif

}  // namespace
}  // namespace mlxe::test::bf16_engine_test
