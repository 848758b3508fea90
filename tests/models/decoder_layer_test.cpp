// What a decoder's layer has beside BERT's: RMS norms, heads that share keys, heads of another width, norms of queries
// and keys, a causal mask, linear biases. Against a naive forward pass in double precision, and against itself.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "models/engine.h"
#include "models/naive_forward.h"
#include "models/plan_builder.h"
#include "models/plan_text.h"
#include "models/random_model.h"
#include "models/row_errors.h"
#include "models/tiny_bert.h"
#include "test_files.h"

namespace mlxe::test::decoder_layer_test {
namespace {

using testing::HasSubstr;

constexpr int64_t kSize = 32;  // of a head: four have 128 columns, the model 64
constexpr int kLayers = 2;
constexpr float kEpsilon = 1e-6f, kBase = 10000;
constexpr LayerNorm kRms{.epsilon = kEpsilon, .has_bias = Bias::no, .kind = NormKind::rms},
    kRmsOnePlus{.epsilon = kEpsilon, .has_bias = Bias::no, .kind = NormKind::rms_one_plus};

struct Case {
  const char* name;
  AttentionSpec spec;
  // What the naive forward gets wrong in the twin.
  std::function<void(naive::AttentionKind&, naive::Weights&)> damage;
};

// The two heads of keys in the other order.
void swap_key_heads(naive::AttentionKind&, naive::Weights& w) {
  naive::Mat& keys = w.at("layers.1.key.weight");
  std::swap_ranges(keys.v.begin(), keys.v.begin() + kSize * kHidden, keys.v.begin() + kSize * kHidden);
}

// Of the last head, by an eighth.
void change_slope(naive::AttentionKind& kind, naive::Weights&) {
  kind.slopes.back() *= 1.125;
}

std::vector<Case> cases() {
  using Kind = naive::AttentionKind;
  return {
      {"grouped", {.heads = 4, .kv_heads = 2}, swap_key_heads},
      {"one_key_head", {.heads = 4, .kv_heads = 1}, [](Kind& k, auto&) { k.causal = true; }},
      {"causal", {.heads = 4, .causal = true}, [](Kind& k, auto&) { k.causal = false; }},
      {"causal_window", {.heads = 4, .window = 7, .causal = true}, [](Kind& k, auto&) { ++k.window; }},
      {"norms",
       {.heads = 4, .norms = HeadNorms{kRms, kRms}},
       [](Kind& k, auto&) { k.key_norm = k.query_norm; }},
      {"scaled", {.heads = 4, .scale = 0.1f}, [](Kind& k, auto&) { k.scale = 0; }},
      // All norms of the model, and scaled embeddings.
      {"norms_of_one_plus",
       {.heads = 4, .norms = HeadNorms{kRmsOnePlus, kRmsOnePlus}},
       [](Kind&, auto& w) {
         for (double& v : w.at("layers.1.norm1.weight").v) v -= 1;
       }},
      {"scaled_rotary",
       {.heads = 4, .rotary = Rotary{.base = kBase, .scale = 0.75f}},
       [](Kind& k, auto&) { k.rotary_scale = 1; }},
      {"linear_biases", {.heads = 4, .alibi = true}, change_slope},
      // No power of two: the last heads' slopes lie between those of the others.
      {"linear_biases_of_six_heads", {.heads = 6, .alibi = true}, change_slope},
      {"linear_biases_of_ten_heads_in_a_window", {.heads = 10, .window = 9, .alibi = true}, change_slope},
      {"causal_linear_biases_of_grouped_heads",
       {.heads = 6, .kv_heads = 3, .causal = true, .alibi = true},
       [](Kind& k, auto&) { k.slopes = naive::alibi_slopes(8); }},
      {"all",
       {.heads = 4, .kv_heads = 2, .rotary = Rotary{kBase}, .norms = HeadNorms{kRms, kRms}, .causal = true},
       [](Kind& k, auto&) { k.rotary_base *= 1.1; }},
  };
}

bool is_one_plus(const AttentionSpec& spec) {
  return spec.norms && spec.norms->query.kind == NormKind::rms_one_plus;
}

Plan plan_of(const AttentionSpec& spec) {
  PlanBuilder p;
  const auto norm = [&](const std::string& name, ValueId x) {
    return p.rms_norm(name, x, kEpsilon, is_one_plus(spec) ? NormKind::rms_one_plus : NormKind::rms);
  };
  const int words = p.table("words", kVocabulary, kHidden, Role::embedding, is_one_plus(spec) ? 3.0f : 1.0f);
  ValueId x = p.lookup(std::array{std::pair(words, RowIndex::ids)});
  p.end_layer(x);
  const int64_t width = spec.heads * kSize, kv_width = width / spec.group();
  for (int i = 0; i < kLayers; ++i) {
    p.scope("layers." + std::to_string(i) + ".");
    const std::array<std::string, 3> names{"query", "key", "value"};
    const std::array<std::string, 2> norms{"query_norm", "key_norm"};
    const std::vector<ValueId> qkv =
        p.multi_linear(names, norm("norm1", x), std::array{width, kv_width, kv_width}, Bias::no);
    const ValueId a =
        p.attention("self", qkv, spec, {},
                    spec.norms ? std::span<const std::string>(norms) : std::span<const std::string>());
    x = p.add("add1", p.linear("out", a, kHidden, Bias::no), x);
    const ValueId f = p.gated_feed_forward("gate", "up", "down", norm("norm2", x), kFeedForward,
                                           Activation::silu, Bias::no);
    x = p.add("add2", f, x);
    if (i + 1 == kLayers) {
      p.scope("");
      x = norm("norm", x);
    }
    p.end_layer(x);
  }
  Plan plan = p.finish();
  plan.max_tokens = kPositions;
  return plan;
}

naive::AttentionKind kind_of(const AttentionSpec& spec) {
  return {.heads = spec.heads,
          .kv_heads = spec.heads / spec.group(),
          .causal = spec.causal,
          .window = spec.window,
          .rotary_base = spec.rotary ? static_cast<double>(spec.rotary->base) : 0,
          .rotary_scale = spec.rotary ? static_cast<double>(spec.rotary->scale) : 1,
          .scale = static_cast<double>(spec.scale.value_or(0)),
          .epsilon = static_cast<double>(kEpsilon),
          .slopes = spec.alibi ? naive::alibi_slopes(spec.heads) : std::vector<double>()};
}

double silu(double x) {
  return x / (1 + std::exp(-x));
}

// Token vectors of one text after the embeddings and after each layer. `damage` as in Case, of the last layer.
std::vector<naive::Mat> naive_layers(const Case& c, naive::Weights w, const std::vector<int32_t>& ids,
                                     bool damaged) {
  const auto epsilon = static_cast<double>(kEpsilon);
  const auto times = [&](const naive::Mat& x, const std::string& name) {
    return naive::linear(x, w.at(name + ".weight"), {});
  };
  if (is_one_plus(c.spec)) {
    for (double& v : w.at("words.weight").v) v *= 3;
    for (auto& [name, values] : w)
      if (name.find("norm") != name.npos)
        for (double& v : values.v) v += 1;
  }
  naive::Mat x(static_cast<int64_t>(ids.size()), kHidden);
  for (int64_t t = 0; t < x.rows; ++t)
    for (int64_t i = 0; i < kHidden; ++i)
      x.at(t, i) = w.at("words.weight").at(ids[static_cast<size_t>(t)], i);
  std::vector<naive::Mat> all{x};
  for (int layer = 0; layer < kLayers; ++layer) {
    const std::string p = "layers." + std::to_string(layer) + ".";
    naive::AttentionKind kind = kind_of(c.spec);
    if (c.spec.norms)
      kind.query_norm = w.at(p + "query_norm.weight"), kind.key_norm = w.at(p + "key_norm.weight");
    if (damaged && layer == 1) c.damage(kind, w);
    const naive::Mat in = naive::rms_norm(x, w.at(p + "norm1.weight"), epsilon);
    const naive::Mat a =
        naive::attention(times(in, p + "query"), times(in, p + "key"), times(in, p + "value"), kind);
    x = naive::add(x, times(a, p + "out"));
    const naive::Mat f = naive::rms_norm(x, w.at(p + "norm2.weight"), epsilon);
    naive::Mat inner = naive::apply(times(f, p + "gate"), silu);
    const naive::Mat up = times(f, p + "up");
    for (size_t i = 0; i < inner.v.size(); ++i) inner.v[i] *= up.v[i];
    x = naive::add(x, times(inner, p + "down"));
    if (layer + 1 == kLayers) x = naive::rms_norm(x, w.at("norm.weight"), epsilon);
    all.push_back(x);
  }
  return all;
}

constexpr Scheme kFloats{.dtype = Dtype::f32};
constexpr Scheme kAffine8{.mode = Mode::affine, .bits = 8, .group_size = 64, .dtype = Dtype::f16};

// A case on an engine. Two of one scheme have the same weights.
struct Loaded {
  RandomWeights weights;
  std::unique_ptr<Engine> engine;
  Model model;
  naive::Weights exact;  // of floats

  Loaded(const Case& c, std::unique_ptr<Engine> on, const Scheme& scheme = kFloats)
      : weights(scheme), engine(std::move(on)), model{.model_type = "tiny", .plan = plan_of(c.spec)} {
    PlanBuilder heads(std::move(model.plan));
    add_classifier(heads, {.transform = {"dense", Activation::tanh}, .out = "classifier"}, 3);
    model.plan = heads.finish();
    fill(model, [&](const Parameter& spec) {
      const StoredWeight& stored = weights.store(spec);
      if (stored.scheme.mode == Mode::none && stored.dtype == Dtype::f32) {
        naive::Mat& m = exact[spec.name] =
            naive::Mat(spec.shape.size() == 2 ? spec.shape[0] : 1, spec.shape.back());
        std::vector<float> values(m.v.size());
        std::memcpy(values.data(), stored.codes.data(), stored.codes.size());
        std::ranges::copy(values, m.v.begin());
      }
      return engine->add(stored);
    });
  }
  Loaded(const Case& c, Activations activations, const Scheme& scheme, int threads = 2)
      : Loaded(c, make_cpu_engine({.threads = threads, .activations = activations}), scheme) {}

  RunResult run(const Batch& batch, bool hidden = true) {
    RunResult result;
    Outputs wanted{Output::text_logits};
    if (hidden) wanted.add(Outputs{Output::layers, Output::hidden});
    engine->run(model, {.batch = batch, .wanted = wanted}, result);
    return result;
  }
};

class DecoderLayer : public testing::TestWithParam<Case> {};

const std::vector<int> kLengths{5, 33, 1, 64, 129};

// The largest error of a layer of the engine's, relative to the layer's largest value.
double largest_error(const Case& c, std::unique_ptr<Engine> engine, bool damaged,
                     const std::vector<int>& lengths = kLengths) {
  Loaded loaded(c, std::move(engine));
  const Batch batch = random_batch(lengths);
  const RunResult found = loaded.run(batch);
  double error = 0;
  for (int64_t text = 0; text < batch.texts(); ++text) {
    const std::vector<naive::Mat> layers = naive_layers(c, loaded.exact, single(batch, text).ids, damaged);
    EXPECT_EQ(layers.size(), found.layers.size());
    for (size_t layer = 0; layer < layers.size(); ++layer) {
      const float* rows =
          found.layers[layer].values.data() + int64_t{batch.offsets[static_cast<size_t>(text)]} * kHidden;
      error = larger_error(error, relative_error(rows, layers[layer]));
    }
  }
  return error;
}

// engine_mlx_test.cpp derives 1e-5 for some ten float32 sums in a row. A rotary angle is rounded to float32, which adds
// its size, the longest text's length in radians, times 2^-24.
constexpr double kTolerance = 1e-5 + 129 * 0x1p-24;

TEST_P(DecoderLayer, EqualsTheNaiveForward) {
  EXPECT_LE(largest_error(GetParam(), make_cpu_engine({.threads = 2}), false), kTolerance);
}

TEST_P(DecoderLayer, EqualsTheNaiveForwardOnMlx) {
  if (!std::filesystem::exists(MLXE_BUILD_DIR "/libmlxe_engine_mlx.so"))
    GTEST_SKIP() << "this build has no MLX module (MLXE_WITH_MLX=OFF)";
  EXPECT_LE(largest_error(GetParam(), make_mlx_engine({}), false), kTolerance);
  EXPECT_LE(largest_error(GetParam(), make_mlx_engine({}), false, {40, 40}), kTolerance)
      << "texts of one length, which need no mask for padding";
}

TEST_P(DecoderLayer, AWrongAttentionShows) {
  EXPECT_GT(largest_error(GetParam(), make_cpu_engine({.threads = 2}), true), 10 * kTolerance);
}

// attention_kinds_test.cpp derives the bound of 8-bit activations with a gate; that of bfloat16's is half of
// bf16_engine_test.cpp's worst angle, doubled for the gate.
TEST_P(DecoderLayer, LowPrecisionActivationsAreNearFloat32) {
  const Batch batch = random_batch(kLengths);
  const Matrix exact = Loaded(GetParam(), Activations::float32, kAffine8).run(batch)[Output::hidden];
  const auto angle = [&](Activations activations) {
    return mean_angle(Loaded(GetParam(), activations, kAffine8).run(batch)[Output::hidden], exact);
  };
  EXPECT_LE(angle(Activations::int8), 1e-3);
  EXPECT_GT(angle(Activations::int8), 1e-6) << "activations are not 8-bit at all";
  EXPECT_LE(angle(Activations::bf16), 1.5e-4);
  EXPECT_GT(angle(Activations::bf16), 1e-7) << "activations are not bfloat16 at all";
}

TEST_P(DecoderLayer, ATextHasTheSameBitsAloneAndInABatchOnAnyNumberOfThreads) {
  const Batch batch = random_batch({33, 1, 2, 32, 129, 31, 64});
  for (const Activations activations : {Activations::float32, Activations::int8, Activations::bf16}) {
    Loaded two(GetParam(), activations, kAffine8), one(GetParam(), activations, kAffine8, 1);
    const Matrix together = two.run(batch)[Output::hidden];
    for (int64_t text = 0; text < batch.texts(); ++text) {
      const Matrix own = one.run(single(batch, text))[Output::hidden];
      EXPECT_TRUE(std::equal(
          own.values.begin(), own.values.end(),
          together.values.begin() + int64_t{batch.offsets[static_cast<size_t>(text)]} * own.columns))
          << "text " << text;
    }
  }
}

TEST_P(DecoderLayer, HeadsOfTheFirstTokenKeepTheirBits) {
  const Batch batch = random_batch({9, 1, 30, 129});
  for (const Activations activations : {Activations::float32, Activations::int8}) {
    Loaded loaded(GetParam(), activations, kAffine8);
    EXPECT_EQ(loaded.run(batch, false)[Output::text_logits].values,
              loaded.run(batch)[Output::text_logits].values);
  }
}

INSTANTIATE_TEST_SUITE_P(, DecoderLayer, testing::ValuesIn(cases()),
                         [](const auto& c) { return std::string(c.param.name); });

TEST(DecoderPlan, IsPrintedAndCheckedWithItsHeads) {
  const Plan plan = plan_of(cases().back().spec);
  EXPECT_THAT(to_text(plan, plan.whole, [](const std::string&) { return std::string(); }),
              HasSubstr("query_norm, key_norm, 4 heads, 2 of keys and values, causal, rotary, base 10000"));
  EXPECT_THAT(to_text(plan, plan.whole, [](const std::string&) { return std::string(); }),
              HasSubstr("rms norm"));
  const auto printed = [](const AttentionSpec& spec) {
    const Plan own = plan_of(spec);
    return to_text(own, own.whole, [](const std::string&) { return std::string(); });
  };
  EXPECT_THAT(printed({.heads = 4, .norms = HeadNorms{kRmsOnePlus, kRmsOnePlus}}),
              AllOf(HasSubstr("words by ids [96, 64] times 3"), HasSubstr("rms norm, 1 + weight")));
  EXPECT_THAT(printed({.heads = 4, .rotary = Rotary{kBase, 4}, .scale = 0.25f}),
              HasSubstr("4 heads, scale 0.25, rotary, base 10000, positions times 4"));
  EXPECT_THAT(printed({.heads = 6, .alibi = true}), HasSubstr("6 heads, linear biases of distances"));
  PlanBuilder p;
  const ValueId x = p.lookup(std::array{std::pair(p.table("words", 10, 8), RowIndex::ids)});
  EXPECT_THAT(error_text(
                  [&] {
                    p.attention("self", {x, x, x}, {.heads = 4, .kv_heads = 3});
                  },
                  ErrorCode::internal),
              HasSubstr("self: 3 heads of keys do not divide 4 of queries"));
  EXPECT_THAT(error_text(
                  [&] {
                    p.attention("self", {x, x, x}, {.heads = 4, .kv_heads = 2});
                  },
                  ErrorCode::internal),
              HasSubstr("self: queries have 8 columns, keys or values 8 for 2 of 4 heads"));
  EXPECT_THAT(error_text(
                  [&] {
                    p.attention("self", {x, x, x}, {.heads = 4, .rotary = Rotary{}, .alibi = true});
                  },
                  ErrorCode::internal),
              HasSubstr("self: linear biases beside another kind of position"));
}

}  // namespace
}  // namespace mlxe::test::decoder_layer_test
