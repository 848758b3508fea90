// Attention that is not BERT's (relative and linear biases, rotary positions, windows, fused matrices, gates,
// disentangled terms) and shared layers, with 8-bit activations, in batches and for first tokens alone; and the config
// keys that choose it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "models/engine.h"
#include "models/modernbert.h"
#include "models/random_model.h"
#include "models/row_errors.h"
#include "test_files.h"

namespace mlxe::test::attention_kinds_test {
namespace {

using testing::HasSubstr;

constexpr Scheme kAffine8{.mode = Mode::affine, .bits = 8, .group_size = 64, .dtype = Dtype::f16};

// A model on the cpu engine. Two of one kind have the same weights.
struct Loaded {
  RandomWeights weights{kAffine8};
  std::unique_ptr<Engine> engine;
  Model model;

  // `damage` may change a weight before the engine gets it.
  Loaded(
      Kind kind, Activations activations, int threads = 2,
      const std::function<void(StoredWeight&)>& damage = [](StoredWeight&) {})
      : engine(make_cpu_engine({.threads = threads, .activations = activations})), model(tiny_model(kind)) {
    fill(model, [&](const Parameter& spec) {
      StoredWeight stored = weights.store(spec);
      damage(stored);
      return engine->add(stored);
    });
  }
  RunResult run(const Batch& batch, bool hidden) {
    RunResult result;
    RunRequest request{.batch = batch, .wanted = {Output::text_logits}};
    if (hidden) request.wanted.add(Output::hidden);
    engine->run(model, request, result);
    return result;
  }
};

class AttentionKinds : public testing::TestWithParam<Kind> {};

// int8_engine_test.cpp derives a mean of 2.5e-4 over two layers with ten products. The layers here also have ten. The
// bound is twice that mean. The output of a gate is a product of two values and has longer tails: about 5.5 deviations
// in a group of 64, instead of 2.6. Its rounding noise is therefore (5.5 / 2.6)^2 = 4.5 times as large. The noise of the
// two factors adds up, which doubles it. One product of ten with 4.5 times the noise and one with twice the noise make
// 1.5 times the sum. A factor of 2 is allowed.
constexpr double kAngle = 5e-4;
double bound_of(Kind kind) {
  return kind == Kind::modernbert || kind == Kind::jina_bert ? 2 * kAngle : kAngle;
}

const std::vector<int> kLengths{5, 33, 1, 64, 129};

TEST_P(AttentionKinds, EightBitActivationsAreNearFloat32) {
  const Batch batch = random_batch(kLengths);
  Loaded exact(GetParam(), Activations::float32), fast(GetParam(), Activations::int8);
  const double angle =
      mean_angle(fast.run(batch, true)[Output::hidden], exact.run(batch, true)[Output::hidden]);
  EXPECT_LE(angle, bound_of(GetParam()));
  EXPECT_GT(angle, 1e-6) << "activations are not 8-bit at all";
}

// The twin: every scale of one matrix, half or twice as large.
TEST_P(AttentionKinds, OneDamagedMatrixShows) {
  const Batch batch = random_batch(kLengths);
  std::vector<std::byte> damaged;
  const auto damage = [&](StoredWeight& weight) {
    if (weight.name != "layers.1.attn.Wqkv.weight" &&
        weight.name != "encoder.albert_layer_groups.0.albert_layers.0.attention.value.weight" &&
        weight.name != "encoder.layer.1.attention.attn.v.weight" &&
        weight.name != "encoder.layer.1.attention.self.value.weight" &&
        weight.name != "encoder.layer.1.attention.self.value_proj.weight")
      return;
    damaged.assign(weight.scales.begin(), weight.scales.end());
    for (size_t i = 1; i < damaged.size(); i += 2) damaged[i] ^= std::byte{0x04};  // an exponent's lowest bit
    weight.scales = damaged;
  };
  Loaded exact(GetParam(), Activations::float32), fast(GetParam(), Activations::int8, 2, damage);
  EXPECT_GT(mean_angle(fast.run(batch, true)[Output::hidden], exact.run(batch, true)[Output::hidden]),
            2 * bound_of(GetParam()));
  EXPECT_FALSE(damaged.empty());
}

TEST_P(AttentionKinds, ATextHasTheSameBitsAloneAndInABatchOnAnyNumberOfThreads) {
  const std::vector<int> lengths{33, 1, 2, 32, 129, 31, 64};
  const Batch batch = random_batch(lengths);
  for (const Activations activations : {Activations::float32, Activations::int8, Activations::bf16}) {
    Loaded two(GetParam(), activations), one(GetParam(), activations, 1);
    const Matrix together = two.run(batch, true)[Output::hidden];
    for (int64_t text = 0; text < batch.texts(); ++text) {
      const auto first = static_cast<size_t>(batch.offsets[static_cast<size_t>(text)]);
      const auto count = static_cast<size_t>(batch.length(text));
      Batch alone;
      alone.append(std::span(batch.ids).subspan(first, count),
                   std::span(batch.token_types).subspan(first, count));
      const Matrix own = one.run(alone, true)[Output::hidden];
      ASSERT_EQ(own.rows, static_cast<int64_t>(count));
      EXPECT_TRUE(std::equal(own.values.begin(), own.values.end(),
                             together.values.begin() + static_cast<int64_t>(first) * own.columns))
          << "text " << text;
    }
  }
}

TEST_P(AttentionKinds, HeadsOfTheFirstTokenKeepTheirBits) {
  const Batch batch = random_batch({9, 1, 30, 129});
  for (const Activations activations : {Activations::float32, Activations::int8}) {
    Loaded loaded(GetParam(), activations);
    EXPECT_EQ(loaded.run(batch, false)[Output::text_logits].values,
              loaded.run(batch, true)[Output::text_logits].values);
  }
}

INSTANTIATE_TEST_SUITE_P(, AttentionKinds,
                         testing::Values(Kind::albert, Kind::mpnet, Kind::modernbert, Kind::deberta_v2,
                                         Kind::jina_bert),
                         [](const auto& kind) {
                           return std::string(kind.param == Kind::albert       ? "albert"
                                              : kind.param == Kind::mpnet      ? "mpnet"
                                              : kind.param == Kind::modernbert ? "modernbert"
                                              : kind.param == Kind::jina_bert  ? "jina_bert"
                                                                               : "deberta_v2");
                         });

// A gated matrix whose second half begins within a panel of packed weights: its products stay float32.
TEST(FusedMatrix, OfPartsThatBeginWithinAPanelIsComputed) {
  constexpr int64_t kWidth = 48;
  const ModernBertConfig config{.vocab_size = kVocabulary,
                                .hidden_size = kHidden,
                                .heads = kHeads,
                                .intermediate_size = kWidth,
                                .max_positions = kPositions,
                                .layers = {{.heads = kHeads, .rotary = Rotary{}}},
                                .norm_epsilon = 1e-5f,
                                .activation = Activation::gelu_erf,
                                .norm_bias = Bias::yes,
                                .attention_bias = Bias::yes,
                                .mlp_bias = Bias::yes};
  const auto run = [&](Activations activations) {
    RandomWeights quantized(kAffine8), floats({.dtype = Dtype::f16});
    const auto engine = make_cpu_engine({.threads = 1, .activations = activations});
    Model model{.model_type = "tiny", .plan = modernbert(config)};
    fill(model, [&](const Parameter& spec) {  // no group divides the rows of mlp.Wo
      return engine->add((spec.shape.back() == kWidth ? floats : quantized).store(spec));
    });
    RunResult result;
    engine->run(model, {.batch = random_batch({5, 33}), .wanted = {Output::hidden}}, result);
    return result[Output::hidden];
  };
  EXPECT_LE(mean_angle(run(Activations::int8), run(Activations::float32)), kAngle);
}

Config config_with(const nlohmann::json& changes) {
  nlohmann::json json{{"vocab_size", 100},         {"hidden_size", 64},      {"num_attention_heads", 4},
                      {"intermediate_size", 96},   {"num_hidden_layers", 4}, {"max_position_embeddings", 128},
                      {"model_type", "modernbert"}};
  if (!changes.is_null()) json.update(changes);
  return Config::parse(json.dump(), "config.json");
}

// "window/base" of each layer.
std::vector<std::string> layers_of(const nlohmann::json& changes) {
  std::vector<std::string> layers;
  for (const AttentionSpec& spec : read_modernbert_config(config_with(changes)).layers)
    layers.push_back(std::to_string(spec.window) + "/" + std::to_string(static_cast<int>(spec.rotary->base)));
  return layers;
}

TEST(ModernBertConfig, KeysOfTransformers4And5) {
  using Layers = std::vector<std::string>;
  EXPECT_EQ(layers_of({}), (Layers{"0/160000", "64/10000", "64/10000", "0/160000"}));
  EXPECT_EQ(
      layers_of({{"global_attn_every_n_layers", 2}, {"local_attention", 10}, {"local_rope_theta", nullptr}}),
      (Layers{"0/160000", "5/160000", "0/160000", "5/160000"}));
  EXPECT_EQ(layers_of({{"layer_types",
                        {"sliding_attention", "full_attention", "full_attention", "sliding_attention"}},
                       {"rope_parameters",
                        {{"full_attention", {{"rope_type", "default"}, {"rope_theta", 50000.0}}},
                         {"sliding_attention", {{"rope_type", "default"}, {"rope_theta", 2000.0}}}}}}),
            (Layers{"64/2000", "0/50000", "0/50000", "64/2000"}));
}

TEST(ModernBertConfig, WhatIsNotComputedIsRefused) {
  const auto refusal = [](const nlohmann::json& changes, ErrorCode code) {
    return error_text([&] { read_modernbert_config(config_with(changes)); }, code);
  };
  EXPECT_THAT(
      refusal({{"layer_types", {"chunked_attention", "full_attention", "full_attention", "full_attention"}}},
              ErrorCode::unsupported),
      HasSubstr("\"layer_types\" has \"chunked_attention\""));
  EXPECT_THAT(refusal({{"layer_types", {"full_attention"}}}, ErrorCode::format),
              HasSubstr("\"layer_types\" has 1 entries, \"num_hidden_layers\" is 4"));
  EXPECT_THAT(
      refusal({{"rope_parameters", {{"full_attention", {{"rope_type", "yarn"}}}}}}, ErrorCode::unsupported),
      HasSubstr("rope_type"));
  EXPECT_THAT(refusal({{"num_attention_heads", 64}}, ErrorCode::format),
              HasSubstr("an even number of columns"));
}

}  // namespace
}  // namespace mlxe::test::attention_kinds_test
