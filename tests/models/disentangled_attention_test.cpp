// DeBERTa-v2: disentangled attention, tables of positions and the convolution, against a naive forward pass in double
// precision; its config; values that depend on weights alone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "models/deberta_v2.h"
#include "models/engine.h"
#include "models/naive_forward.h"
#include "models/plan_text.h"
#include "models/random_model.h"
#include "models/row_errors.h"
#include "models/run_from_layer.h"
#include "models/tiny_bert.h"
#include "test_files.h"

namespace mlxe::test::disentangled_attention_test {
namespace {

using testing::HasSubstr;

constexpr double kEpsilon = 1e-7;

// What the naive forward gets wrong in the twin, of the last layer's attention or of the convolution.
struct Damage {
  std::function<void(naive::AttentionKind&)> attention = [](auto&) {};
  std::function<void(naive::Mat&)> kernel = [](auto&) {};
};

struct Case {
  const char* name;
  DebertaV2Config config;
  Damage damage;
};

// Of scores that are the sum of this many terms.
double scale_for(int64_t terms) {
  return 1 / std::sqrt(static_cast<double>(kHidden / kHeads * terms));
}

DebertaV2Config config_of(int64_t span, int64_t buckets, int64_t max_distance, bool c2p, bool p2c) {
  return {.vocab_size = kVocabulary,
          .embedding_size = kHidden,
          .hidden_size = kHidden,
          .layers = 2,
          .intermediate_size = kFeedForward,
          .max_positions = kPositions,
          .type_vocab_size = 0,
          .position_table = false,
          .attention = {.heads = kHeads,
                        .scale = static_cast<float>(scale_for(1 + int64_t{c2p} + int64_t{p2c})),
                        .disentangled = Disentangled{span, buckets, max_distance, c2p, p2c}},
          .projections = DebertaProjections::shared,
          .norm_positions = true,
          .convolution = {},
          .layer_norm_epsilon = static_cast<float>(kEpsilon),
          .activation = Activation::gelu_erf};
}

std::function<int64_t(int64_t)> reversed(const std::function<int64_t(int64_t)>& row) {
  return [row](int64_t distance) { return row(-distance); };
}

// The taps of each output's kernel in the other order.
void reverse_taps(naive::Mat& kernel) {
  constexpr int64_t kTaps = 3;
  for (auto tap = kernel.v.begin(); tap != kernel.v.end(); tap += kTaps) std::reverse(tap, tap + kTaps);
}

std::vector<Case> cases() {
  using Kind = naive::AttentionKind;
  std::vector<Case> all{
      {"as_deberta_v3",
       config_of(16, 16, 21, true, true),
       {.attention = [](Kind& k) { k.query_row = reversed(k.query_row); }}},
      {"own_projections",
       config_of(12, 0, 12, true, true),
       {.attention = [](Kind& k) { k.key_row = reversed(k.key_row); }}},
      {"content_to_position",
       config_of(16, 16, 40, true, false),
       {.attention = [](Kind& k) { k.scale = scale_for(3); }}},
      {"position_to_content",
       config_of(32, 32, 64, false, true),
       {.attention =
            [](Kind& k) { k.query_row = [](int64_t d) { return naive::position_row(d, 32, 32, 65); }; }}},
      {"no_positions",
       config_of(16, 16, 40, true, true),
       {.attention = [](Kind& k) { k.scale = scale_for(1); }}},
      {"convolution", config_of(16, 16, 21, true, true), {.kernel = reverse_taps}},
  };
  all[1].config.projections = DebertaProjections::own;
  all[1].config.norm_positions = false;
  all[1].config.position_table = true;
  all[1].config.type_vocab_size = 2;
  all[1].config.embedding_size = 32;
  all[4]
      .config.attention.disentangled
      .reset();  // "relative_attention" is false, the scale is as if it were not
  all[5].config.convolution =
      DebertaV2Config::Convolution{.kernel = 3, .groups = 2, .activation = Activation::tanh};
  return all;
}

naive::Mat lookup(const naive::Weights& w, const std::string& table, const std::vector<int32_t>& rows) {
  const naive::Mat& from = w.at(table + ".weight");
  naive::Mat x(static_cast<int64_t>(rows.size()), from.columns);
  for (int64_t t = 0; t < x.rows; ++t)
    for (int64_t i = 0; i < x.columns; ++i) x.at(t, i) = from.at(rows[static_cast<size_t>(t)], i);
  return x;
}

// Token vectors of one text after the embeddings and after each layer.
std::vector<naive::Mat> naive_layers(const Case& c, const naive::Weights& w, const Batch& text,
                                     bool damaged) {
  const DebertaV2Config& config = c.config;
  naive::Mat x = lookup(w, "embeddings.word_embeddings", text.ids);
  if (config.position_table) x = naive::add(x, lookup(w, "embeddings.position_embeddings", text.positions()));
  if (config.type_vocab_size > 0)
    x = naive::add(x, lookup(w, "embeddings.token_type_embeddings", text.token_types));
  if (config.embedding_size != kHidden) x = naive::linear(x, w.at("embeddings.embed_proj.weight"), {});
  x = naive::layer_norm(x, w, "embeddings.LayerNorm", kEpsilon);
  std::vector<naive::Mat> all{x};
  const auto& d = config.attention.disentangled;
  naive::Mat positions;
  if (d) positions = w.at("encoder.rel_embeddings.weight");
  if (d && config.norm_positions) positions = naive::layer_norm(positions, w, "encoder.LayerNorm", kEpsilon);
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    const std::string p = "encoder.layer." + std::to_string(layer) + ".", self = p + "attention.self.";
    naive::AttentionKind kind{.heads = kHeads, .kv_heads = kHeads};
    kind.scale = static_cast<double>(*config.attention.scale);
    if (d) {
      const bool own = config.projections == DebertaProjections::own;
      if (d->content_to_position)
        kind.position_keys = naive::linear(positions, w, self + (own ? "pos_key_proj" : "key_proj"));
      if (d->position_to_content)
        kind.position_queries = naive::linear(positions, w, self + (own ? "pos_query_proj" : "query_proj"));
      kind.key_row = kind.query_row = [&](int64_t distance) {
        return naive::position_row(distance, d->span, d->buckets, d->max_distance);
      };
    }
    if (damaged && layer + 1 == config.layers) c.damage.attention(kind);
    const naive::Mat a =
        naive::attention(naive::linear(x, w, self + "query_proj"), naive::linear(x, w, self + "key_proj"),
                         naive::linear(x, w, self + "value_proj"), kind);
    const naive::Mat o = naive::layer_norm(naive::add(naive::linear(a, w, p + "attention.output.dense"), x),
                                           w, p + "attention.output.LayerNorm", kEpsilon);
    const naive::Mat f = naive::linear(
        naive::apply(naive::linear(o, w, p + "intermediate.dense"), naive::gelu), w, p + "output.dense");
    naive::Mat y = naive::layer_norm(naive::add(f, o), w, p + "output.LayerNorm", kEpsilon);
    if (layer == 0 && config.convolution) {
      naive::Mat kernel = w.at("encoder.conv.conv.weight");
      if (damaged) c.damage.kernel(kernel);
      const naive::Mat sums = naive::convolution(x, kernel, w.at("encoder.conv.conv.bias"),
                                                 config.convolution->kernel, config.convolution->groups);
      y = naive::layer_norm(naive::add(naive::apply(sums, [](double v) { return std::tanh(v); }), y), w,
                            "encoder.conv.LayerNorm", kEpsilon);
    }
    x = y;
    all.push_back(x);
  }
  return all;
}

constexpr Scheme kFloats{.dtype = Dtype::f32};

// A case on an engine.
struct Loaded {
  RandomWeights weights{kFloats};
  std::unique_ptr<Engine> engine;
  Model model;
  naive::Weights exact;

  Loaded(const DebertaV2Config& config, std::unique_ptr<Engine> on)
      : engine(std::move(on)), model{.model_type = "tiny", .plan = deberta_v2(config)} {
    PlanBuilder heads(std::move(model.plan));
    add_classifier(heads, {.transform = {"dense", Activation::gelu_erf}, .out = "classifier"}, 3);
    model.plan = heads.finish();
    fill(model, [&](const Parameter& spec) {
      const StoredWeight& stored = weights.store(spec);
      const int64_t rows = spec.shape.size() > 1 ? spec.shape[0] : 1;
      naive::Mat& m = exact[spec.name] = naive::Mat(rows, element_count(spec.shape) / rows);
      std::vector<float> values(m.v.size());
      std::memcpy(values.data(), stored.codes.data(), stored.codes.size());
      std::ranges::copy(values, m.v.begin());
      return engine->add(stored);
    });
  }
  RunResult run(const Batch& batch, Outputs wanted = {Output::layers}) {
    RunResult result;
    engine->run(model, {.batch = batch, .wanted = wanted}, result);
    return result;
  }
};

// The largest error of a layer of the engine's, relative to the layer's largest value.
double largest_error(const Case& c, std::unique_ptr<Engine> engine, bool damaged,
                     const std::vector<int>& lengths = {5, 33, 1, 64, 129}) {
  Loaded loaded(c.config, std::move(engine));
  const Batch batch = random_batch(lengths);
  const RunResult found = loaded.run(batch);
  double error = 0;
  for (int64_t text = 0; text < batch.texts(); ++text) {
    const std::vector<naive::Mat> layers = naive_layers(c, loaded.exact, single(batch, text), damaged);
    EXPECT_EQ(layers.size(), found.layers.size());
    for (size_t layer = 0; layer < layers.size(); ++layer) {
      const float* rows =
          found.layers[layer].values.data() + int64_t{batch.offsets[static_cast<size_t>(text)]} * kHidden;
      error = larger_error(error, relative_error(rows, layers[layer]));
    }
  }
  return error;
}

// engine_mlx_test.cpp derives 1e-5 for some ten float32 sums in a row. A score is here the sum of three products, each
// with an error of its own, and a convolution adds a sum to a layer: at most twice that.
constexpr double kTolerance = 2e-5;

class DisentangledAttention : public testing::TestWithParam<Case> {};

TEST_P(DisentangledAttention, EqualsTheNaiveForward) {
  const double error = largest_error(GetParam(), make_cpu_engine({.threads = 2}), false);
  EXPECT_LE(error, kTolerance);
  RecordProperty("largest_error", std::to_string(error / kTolerance));
}

TEST_P(DisentangledAttention, EqualsTheNaiveForwardOnMlx) {
  if (!std::filesystem::exists(MLXE_BUILD_DIR "/libmlxe_engine_mlx.so"))
    GTEST_SKIP() << "this build has no MLX module (MLXE_WITH_MLX=OFF)";
  EXPECT_LE(largest_error(GetParam(), make_mlx_engine({}), false), kTolerance);
  EXPECT_LE(largest_error(GetParam(), make_mlx_engine({}), false, {40, 40}), kTolerance)
      << "texts of one length, which need no mask for padding";
}

TEST_P(DisentangledAttention, AWrongTermShows) {
  EXPECT_GT(largest_error(GetParam(), make_cpu_engine({.threads = 2}), true), 10 * kTolerance);
}

TEST_P(DisentangledAttention, HeadsOfTheFirstTokenKeepTheirBits) {
  Loaded loaded(GetParam().config, make_cpu_engine({.threads = 2}));
  const Batch batch = random_batch({9, 1, 30, 129});
  EXPECT_EQ(loaded.run(batch, {Output::text_logits})[Output::text_logits].values,
            loaded.run(batch, {Output::text_logits, Output::hidden})[Output::text_logits].values);
}

INSTANTIATE_TEST_SUITE_P(, DisentangledAttention, testing::ValuesIn(cases()),
                         [](const auto& c) { return std::string(c.param.name); });

// A convolution after the only layer reads all its rows.
TEST(DisentangledPlan, OfFirstTokensKeepsAllRowsOfAConvolution) {
  DebertaV2Config config = cases()[5].config;
  config.layers = 1;
  Loaded loaded(config, make_cpu_engine({.threads = 1}));
  const Batch batch = random_batch({9, 1, 30});
  EXPECT_EQ(loaded.run(batch, {Output::text_logits})[Output::text_logits].values,
            loaded.run(batch, {Output::text_logits, Output::hidden})[Output::text_logits].values);
}

TEST(DisentangledPlan, HasTablesOfKindTable) {
  const Plan plan = deberta_v2(cases()[0].config);
  EXPECT_EQ(plan.whole.tables.size(), 4u);  // of two layers, keys and queries
  EXPECT_EQ(plan.first_tokens.tables.size(), 4u);
  const std::string text = to_text(plan, plan.whole, [](const std::string&) { return std::string(); });
  EXPECT_THAT(text, HasSubstr("[32, 64]  rows"));
  EXPECT_THAT(text, HasSubstr("content to position, position to content, 16 buckets of distances to 21"));
  // Tables are computed once: they do not count.
  DebertaV2Config without = cases()[0].config;
  without.attention.disentangled.reset();
  const Plan other = deberta_v2(without);
  EXPECT_EQ(linear_operations(plan, plan.whole, 70, 10), linear_operations(other, other.whole, 70, 10));
  const Plan convolved = deberta_v2(cases()[5].config);
  EXPECT_EQ(
      linear_operations(convolved, convolved.whole, 70, 10) - linear_operations(plan, plan.whole, 70, 10),
      2.0 * 70 * kHidden * (kHidden / 2) * 3);
}

TEST(DisentangledPlan, MatricesThatTokensAndPositionsReadCountAsUsedOnce) {
  EXPECT_TRUE(shared_weights(deberta_v2(cases()[0].config)).empty());
}

TEST(DisentangledPlan, WhatDoesNotFitIsAnErrorThatNamesIt) {
  PlanBuilder p;
  const int words = p.table("words", 10, 8), places = p.table("places", 6, 8);
  const ValueId x = p.lookup(std::array{std::pair(words, RowIndex::ids)}), rows = p.all_rows(places);
  const auto error = [](const auto& record) { return error_text(record, ErrorCode::internal); };
  AttentionSpec spec{.heads = 2, .disentangled = Disentangled{.span = 4, .content_to_position = true}};
  EXPECT_THAT(error([&] { p.attention("self", {x, x, x}, spec); }), HasSubstr("self: attention of 3 values"));
  EXPECT_THAT(error([&] {
                p.attention("self", {x, x, x, rows}, spec);
              }),
              HasSubstr("positions are [6, 8], expected a table of [8, 8]"));
  EXPECT_THAT(error([&] { p.convolution("conv", x, 4, 1); }), HasSubstr("conv: a kernel of 4 tokens"));
  EXPECT_THAT(error([&] { p.convolution("conv", x, 3, 3); }), HasSubstr("3 groups do not divide 8 channels"));
  EXPECT_THAT(error([&] { p.convolution("conv", rows, 3, 1); }), HasSubstr("of other rows than tokens"));
}

// Threads that call a new engine at once: one of them computes the tables.
TEST(DisentangledTables, ServeAllThreads) {
  const Batch batch = random_batch({33, 5});
  Loaded first(cases()[0].config, make_cpu_engine({.threads = 1}));
  const Matrix expected = first.run(batch, {Output::hidden})[Output::hidden];
  for (int round = 0; round < 4; ++round) {
    Loaded loaded(cases()[0].config, make_cpu_engine({.threads = 1}));
    std::vector<Matrix> found(4);
    std::vector<std::thread> threads;
    for (Matrix& m : found)
      threads.emplace_back([&] { m = std::move(loaded.run(batch, {Output::hidden})[Output::hidden]); });
    for (std::thread& thread : threads) thread.join();
    for (const Matrix& m : found) EXPECT_EQ(m.values, expected.values);
  }
}

// As sensitivity runs a model: from the layer on whose weights it changes.
TEST(DisentangledTables, AreComputedByARunThatBeginsAtALayer) {
  RunsFromLayer runs(deberta_v2(cases()[0].config));
  const Batch batch = random_batch({33, 5});
  const Matrix whole = runs.run(batch);
  const cpu::Tensor second = runs.layers()[1];
  EXPECT_EQ(runs.run(batch, {.layer = 2, .input = second}).values, whole.values);
  const std::vector<cpu::Tensor> tables = runs.tables();
  EXPECT_EQ(runs.run(batch, {.tables = &tables}).values, whole.values);
  // Twin: the tables of another layer.
  const std::vector<cpu::Tensor> other{tables[2], tables[3], tables[0], tables[1]};
  EXPECT_NE(runs.run(batch, {.tables = &other}).values, whole.values);
}

Config config_with(const nlohmann::json& changes) {
  nlohmann::json json{{"vocab_size", 100},          {"hidden_size", 64},
                      {"num_attention_heads", 4},   {"intermediate_size", 96},
                      {"num_hidden_layers", 2},     {"max_position_embeddings", 128},
                      {"relative_attention", true}, {"pos_att_type", "p2c|c2p"}};
  json.update(changes);
  return Config::parse(json.dump(), "config.json");
}

TEST(DebertaV2ConfigKeys, HaveTheMeaningOfTransformers) {
  const DebertaV2Config plain = read_deberta_v2_config(config_with(nlohmann::json::object()));
  EXPECT_EQ(plain.attention.disentangled->span, 128);
  EXPECT_EQ(plain.attention.disentangled->buckets, 0);
  EXPECT_EQ(plain.attention.scale, 1 / std::sqrt(16.0f * 3));
  EXPECT_TRUE(plain.position_table);
  EXPECT_EQ(plain.projections, DebertaProjections::own);
  EXPECT_FALSE(plain.norm_positions || plain.convolution);
  EXPECT_EQ(plain.type_vocab_size, 0);
  const DebertaV2Config other = read_deberta_v2_config(config_with({{"position_buckets", 32},
                                                                    {"max_relative_positions", -1},
                                                                    {"pos_att_type", {"c2p"}},
                                                                    {"norm_rel_ebd", "Layer_norm"},
                                                                    {"embedding_size", 32},
                                                                    {"conv_kernel_size", 3}}));
  EXPECT_EQ(other.attention.disentangled->span, 32);
  EXPECT_EQ(other.attention.disentangled->max_distance, 128);
  EXPECT_FALSE(other.attention.disentangled->position_to_content);
  EXPECT_EQ(other.attention.scale, 1 / std::sqrt(16.0f * 2));
  EXPECT_TRUE(other.norm_positions);
  EXPECT_EQ(other.embedding_size, 32);
  EXPECT_EQ(other.convolution->activation, Activation::tanh);
  const DebertaV2Config none = read_deberta_v2_config(config_with({{"relative_attention", false}}));
  EXPECT_FALSE(none.attention.disentangled);
  EXPECT_EQ(none.attention.scale, 1 / std::sqrt(16.0f * 3));
}

TEST(DebertaV2ConfigKeys, WhatIsNotComputedIsRefused) {
  const auto refusal = [](const nlohmann::json& changes, ErrorCode code = ErrorCode::unsupported) {
    return error_text([&] { read_deberta_v2_config(config_with(changes)); }, code);
  };
  EXPECT_THAT(refusal({{"pos_att_type", "c2p|p2p"}}), HasSubstr("\"pos_att_type\" has \"p2p\""));
  EXPECT_THAT(refusal({{"norm_rel_ebd", "batch_norm"}}), HasSubstr("\"norm_rel_ebd\" has \"batch_norm\""));
  EXPECT_THAT(refusal({{"conv_kernel_size", 4}}), HasSubstr("\"conv_kernel_size\" is 4"));
  EXPECT_THAT(refusal({{"position_buckets", 256}}), HasSubstr("\"position_buckets\" is 256"));
  EXPECT_THAT(refusal({{"attention_head_size", 8}}), HasSubstr("attention_head_size"));
  EXPECT_THAT(refusal({{"conv_act", "mish"}, {"conv_kernel_size", 3}}),
              HasSubstr("\"conv_act\" is \"mish\""));
  EXPECT_THAT(refusal({{"conv_groups", 3}, {"conv_kernel_size", 3}}, ErrorCode::format),
              HasSubstr("\"conv_groups\" is 3"));
  EXPECT_THAT(refusal({{"num_attention_heads", 7}}, ErrorCode::format),
              HasSubstr("\"hidden_size\" is 64, which \"num_attention_heads\" 7 does not divide"));
  EXPECT_THAT(error_text(
                  [&] {
                    deberta_v2_classifier(config_with({{"pooler_hidden_size", 32}}));
                  },
                  ErrorCode::unsupported),
              HasSubstr("pooler_hidden_size"));
}

}  // namespace
}  // namespace mlxe::test::disentangled_attention_test
