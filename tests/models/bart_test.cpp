// BART and mBART: what the decoder reads, cross attention, the end-of-sequence token. Against a naive forward pass in
// double precision, and against itself.
#include "models/bart.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

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
#include "models/run_from_layer.h"
#include "models/tiny_bert.h"
#include "test_files.h"

namespace mlxe::test::bart_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr int32_t kPadding = 1, kEnd = 2, kStart = 5;
constexpr int64_t kOffset = 2;
constexpr double kEpsilon = 1e-5;

// Each size of the two halves has a value of its own.
BartConfig config_of(BartKind kind) {
  return {.kind = kind,
          .vocab_size = kVocabulary,
          .width = kHidden,
          .max_positions = kPositions,
          .encoder = {.layers = 2, .heads = 4, .feed_forward_width = 128},
          .decoder = {.layers = 3, .heads = 2, .feed_forward_width = 192},
          .activation = Activation::gelu_erf,
          .scales_words = true,
          .padding_id = kPadding,
          .start_id = kStart,
          .end_id = kEnd};
}

// What the naive forward gets wrong in a twin.
struct Mistakes {
  bool same_ids = false;          // the decoder reads the encoder's ids
  bool other_start = false;       // the first of them is another one
  bool no_offset = false;         // positions begin at row 0
  bool sees_later = false;        // of the decoder's own tokens
  bool causal_cross = false;      // the encoder's later tokens are not seen
  bool reads_itself = false;      // keys and values of the cross attention come from the decoder
  bool reads_embeddings = false;  // or from the encoder's embeddings
  bool unscaled = false;          // words
};

struct Naive {
  const BartConfig& c;
  const naive::Weights& w;
  Mistakes wrong = {};

  naive::Mat embed(const std::vector<int32_t>& ids, const std::string& half) const {
    const naive::Mat &words = w.at("shared.weight"), &places = w.at(half + "embed_positions.weight");
    const double scale = wrong.unscaled ? 1 : std::sqrt(static_cast<double>(c.width));
    naive::Mat x(static_cast<int64_t>(ids.size()), c.width);
    for (int64_t t = 0; t < x.rows; ++t)
      for (int64_t i = 0; i < x.columns; ++i)
        x.at(t, i) = scale * words.at(ids[static_cast<size_t>(t)], i) +
                     places.at(t + (wrong.no_offset ? 0 : kOffset), i);
    return naive::layer_norm(x, w, half + "layernorm_embedding", kEpsilon);
  }

  naive::Mat attention(const std::string& name, const naive::Mat& x, const naive::Mat& read, int64_t heads,
                       bool causal) const {
    const naive::Mat a = naive::attention(
        naive::linear(x, w, name + ".q_proj"), naive::linear(read, w, name + ".k_proj"),
        naive::linear(read, w, name + ".v_proj"), {.heads = heads, .kv_heads = heads, .causal = causal});
    return naive::linear(a, w, name + ".out_proj");
  }

  // x + part, normalized after it, or the part's input before.
  naive::Mat part(const std::string& norm, const naive::Mat& x,
                  const std::function<naive::Mat(const naive::Mat&)>& f) const {
    if (c.kind == BartKind::mbart) return naive::add(x, f(naive::layer_norm(x, w, norm, kEpsilon)));
    return naive::layer_norm(naive::add(x, f(x)), w, norm, kEpsilon);
  }

  std::vector<int32_t> shifted(const std::vector<int32_t>& ids) const {
    if (wrong.same_ids) return ids;
    int32_t start = kStart;
    if (c.kind == BartKind::mbart)  // as many tokens before the last one as the text has paddings
      start = ids[ids.size() - 1 - static_cast<size_t>(std::ranges::count(ids, kPadding))];
    if (wrong.other_start) start = start == kEnd + 1 ? kEnd + 2 : kEnd + 1;
    std::vector<int32_t> made{start};
    made.insert(made.end(), ids.begin(), ids.end() - 1);
    return made;
  }

  // After the embeddings, each layer of the encoder and each of the decoder.
  std::vector<naive::Mat> operator()(const std::vector<int32_t>& ids) const {
    std::vector<naive::Mat> all{embed(ids, "encoder.")};
    naive::Mat read;
    for (const bool decodes : {false, true}) {
      const BartStack& stack = decodes ? c.decoder : c.encoder;
      const std::string half = decodes ? "decoder." : "encoder.";
      naive::Mat x = decodes ? embed(shifted(ids), half) : all[0];
      for (int64_t i = 0; i < stack.layers; ++i) {
        const std::string p = half + "layers." + std::to_string(i) + ".";
        x = part(p + "self_attn_layer_norm", x, [&](const naive::Mat& y) {
          return attention(p + "self_attn", y, y, stack.heads, decodes && !wrong.sees_later);
        });
        if (decodes)
          x = part(p + "encoder_attn_layer_norm", x, [&](const naive::Mat& y) {
            const naive::Mat& source = wrong.reads_itself ? y : wrong.reads_embeddings ? all[0] : read;
            return attention(p + "encoder_attn", y, source, stack.heads, wrong.causal_cross);
          });
        x = part(p + "final_layer_norm", x, [&](const naive::Mat& y) {
          return naive::linear(naive::apply(naive::linear(y, w, p + "fc1"), naive::gelu), w, p + "fc2");
        });
        if (c.kind == BartKind::mbart && i + 1 == stack.layers)
          x = naive::layer_norm(x, w, half + "layer_norm", kEpsilon);
        all.push_back(x);
      }
      read = x;
    }
    return all;
  }

  // Of the last token that ends a text.
  naive::Mat logits(const std::vector<int32_t>& ids, const naive::Mat& hidden) const {
    size_t end = ids.size() - 1;
    while (ids[end] != kEnd) --end;
    naive::Mat state(1, hidden.columns);
    for (int64_t i = 0; i < hidden.columns; ++i) state.at(0, i) = hidden.at(static_cast<int64_t>(end), i);
    const naive::Mat dense =
        naive::apply(naive::linear(state, w, "dense"), [](double v) { return std::tanh(v); });
    return naive::linear(dense, w, "out");
  }
};

constexpr Scheme kFloats{.dtype = Dtype::f32};
constexpr Scheme kAffine8{.mode = Mode::affine, .bits = 8, .group_size = 64, .dtype = Dtype::f16};

// A model on an engine. Two of one kind and scheme have the same weights.
struct Loaded {
  BartConfig config;
  RandomWeights weights;
  std::unique_ptr<Engine> engine;
  Model model;
  naive::Weights exact;  // of floats

  Loaded(BartKind kind, std::unique_ptr<Engine> on, const Scheme& scheme = kFloats)
      : config(config_of(kind)),
        weights(scheme),
        engine(std::move(on)),
        model{.model_type = "tiny", .plan = mlxe::bart(config)} {
    PlanBuilder heads(std::move(model.plan));
    add_classifier(heads, {.transform = {"dense", Activation::tanh}, .out = "out", .reads_end = true}, 3);
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
  Loaded(BartKind kind, Activations activations, const Scheme& scheme, int threads = 2)
      : Loaded(kind, make_cpu_engine({.threads = threads, .activations = activations}), scheme) {}

  RunResult run(const Batch& batch, Outputs wanted = {Output::layers, Output::hidden, Output::text_logits}) {
    RunResult result;
    engine->run(model, {.batch = batch, .wanted = wanted}, result);
    return result;
  }
};

// Texts whose last token but one ends them; longer ones have such a token earlier, too, and paddings.
Batch ended_batch(const std::vector<int>& lengths) {
  const Batch random = random_batch(lengths);
  Batch batch;
  for (int64_t text = 0; text < random.texts(); ++text) {
    std::vector<int32_t> ids = single(random, text).ids;
    for (int32_t& id : ids) id = std::max(id, kEnd + 1);
    ids[ids.size() > 1 ? ids.size() - 2 : 0] = kEnd;
    if (ids.size() > 8) ids[3] = kEnd, ids[4] = ids[6] = kPadding;
    batch.append(ids);
  }
  return batch;
}

const std::vector<int> kLengths{5, 33, 1, 2, 64, 129};

class Bart : public testing::TestWithParam<BartKind> {};

// The largest error of a layer's output and of the logits, relative to the largest value.
double largest_error(BartKind kind, std::unique_ptr<Engine> engine, const Mistakes& wrong = {},
                     const std::vector<int>& lengths = kLengths) {
  Loaded loaded(kind, std::move(engine));
  const Batch batch = ended_batch(lengths);
  const RunResult found = loaded.run(batch);
  const Naive naive{loaded.config, loaded.exact, wrong};
  double error = 0;
  for (int64_t text = 0; text < batch.texts(); ++text) {
    const std::vector<int32_t> ids = single(batch, text).ids;
    const std::vector<naive::Mat> layers = naive(ids);
    EXPECT_EQ(layers.size(), found.layers.size());
    const int64_t first = int64_t{batch.offsets[static_cast<size_t>(text)]} * kHidden;
    for (size_t layer = 0; layer < layers.size(); ++layer)
      error = larger_error(error, relative_error(found.layers[layer].values.data() + first, layers[layer]));
    error = larger_error(error, relative_error(found[Output::text_logits].values.data() + 3 * text,
                                               naive.logits(ids, layers.back())));
  }
  return error;
}

// engine_mlx_test.cpp derives 1e-5 for some ten float32 sums in a row. The decoder's last layer follows five layers
// with 27 of them.
constexpr double kTolerance = 3e-5;

TEST_P(Bart, EqualsTheNaiveForward) {
  EXPECT_LE(largest_error(GetParam(), make_cpu_engine({.threads = 2})), kTolerance);
}

TEST_P(Bart, EqualsTheNaiveForwardOnMlx) {
  if (!std::filesystem::exists(MLXE_BUILD_DIR "/libmlxe_engine_mlx.so"))
    GTEST_SKIP() << "this build has no MLX module (MLXE_WITH_MLX=OFF)";
  EXPECT_LE(largest_error(GetParam(), make_mlx_engine({})), kTolerance);
  EXPECT_LE(largest_error(GetParam(), make_mlx_engine({}), {}, {40, 40}), kTolerance)
      << "texts of one length, which need no mask for padding";
}

TEST_P(Bart, AMistakeOfTheDecoderShows) {
  const auto error = [](const Mistakes& wrong) {
    return largest_error(GetParam(), make_cpu_engine({.threads = 2}), wrong, {5, 33});
  };
  for (bool Mistakes::*mistake :
       {&Mistakes::same_ids, &Mistakes::other_start, &Mistakes::no_offset, &Mistakes::sees_later,
        &Mistakes::causal_cross, &Mistakes::reads_itself, &Mistakes::reads_embeddings, &Mistakes::unscaled}) {
    Mistakes wrong;
    wrong.*mistake = true;
    EXPECT_GT(error(wrong), 10 * kTolerance);
  }
}

// decoder_layer_test.cpp's bounds are for two layers of two parts each, attention and feed-forward. 1 - cosine is a sum
// of squares, to which each part's roundings add alike. Here are 13 parts: four of the encoder, nine of the decoder.
TEST_P(Bart, LowPrecisionActivationsAreNearFloat32) {
  const Batch batch = ended_batch(kLengths);
  const Matrix exact = Loaded(GetParam(), Activations::float32, kAffine8).run(batch)[Output::hidden];
  const auto angle = [&](Activations activations) {
    return mean_angle(Loaded(GetParam(), activations, kAffine8).run(batch)[Output::hidden], exact);
  };
  EXPECT_LE(angle(Activations::int8), 1e-3 * 13 / 4);
  EXPECT_GT(angle(Activations::int8), 1e-6) << "activations are not 8-bit at all";
  EXPECT_LE(angle(Activations::bf16), 1.5e-4 * 13 / 4);
  EXPECT_GT(angle(Activations::bf16), 1e-7) << "activations are not bfloat16 at all";
}

TEST_P(Bart, ATextHasTheSameBitsAloneAndInABatchOnAnyNumberOfThreads) {
  const Batch batch = ended_batch({33, 1, 2, 32, 129, 31, 64});
  for (const Activations activations : {Activations::float32, Activations::int8, Activations::bf16}) {
    Loaded two(GetParam(), activations, kAffine8), one(GetParam(), activations, kAffine8, 1);
    const RunResult together = two.run(batch);
    for (int64_t text = 0; text < batch.texts(); ++text) {
      const RunResult own = one.run(single(batch, text));
      const auto same = [&](Output output, int64_t first) {
        return std::ranges::equal(
            own[output].values,
            std::span(together[output].values)
                .subspan(static_cast<size_t>(first * own[output].columns), own[output].values.size()));
      };
      EXPECT_TRUE(same(Output::hidden, batch.offsets[static_cast<size_t>(text)])) << "text " << text;
      EXPECT_TRUE(same(Output::text_logits, text)) << "text " << text;
    }
  }
}

// A head of first tokens narrows the decoder's last layer alone.
TEST_P(Bart, HeadsOfTheFirstTokenKeepTheirBits) {
  const Batch batch = ended_batch({9, 1, 30, 129});
  for (const Activations activations : {Activations::float32, Activations::int8}) {
    Loaded loaded(GetParam(), activations, kAffine8);
    PlanBuilder heads(std::move(loaded.model.plan));
    heads.output(Output::pooled, heads.take_first(heads.hidden()));
    loaded.model.plan = heads.finish();
    const PlanGraph& first = loaded.model.plan.first_tokens;
    EXPECT_NE(first.output(Output::pooled), kNoValue);
    EXPECT_EQ(first.output(Output::text_logits), kNoValue) << "it reads another token";
    for (size_t layer = 0; layer < first.layers.size(); ++layer)
      EXPECT_EQ(first.values[static_cast<size_t>(first.layers[layer].output)].rows,
                layer + 1 < first.layers.size() ? RowKind::tokens : RowKind::texts)
          << layer;
    EXPECT_EQ(loaded.run(batch, {Output::pooled})[Output::pooled].values,
              loaded.run(batch, {Output::pooled, Output::hidden})[Output::pooled].values);
  }
}

INSTANTIATE_TEST_SUITE_P(, Bart, testing::Values(BartKind::bart, BartKind::mbart), [](const auto& c) {
  return std::string(c.param == BartKind::bart ? "bart" : "mbart");
});

Batch batch_of(const std::vector<std::vector<int32_t>>& texts) {
  Batch batch;
  for (const std::vector<int32_t>& ids : texts) batch.append(ids);
  return batch;
}

TEST(BartPlan, TheDecoderReadsTheTokenBefore) {
  const Batch batch = batch_of({{5, 6, 7}, {8}, {9, 1, 10, 4}, {1, 1}});
  Plan plan;
  plan.padding_id = 1;
  plan.start_id = 3;
  plan.first_position = 2;
  EXPECT_THAT(rows_of(batch, RowIndex::shifted_ids, plan), ElementsAre(3, 5, 6, 3, 3, 9, 1, 10, 3, 1));
  EXPECT_THAT(rows_of(batch, RowIndex::wrapped_ids, plan), ElementsAre(7, 5, 6, 8, 10, 9, 1, 10, 1, 1));
  EXPECT_THAT(rows_of(batch, RowIndex::positions, plan), ElementsAre(2, 3, 4, 2, 2, 3, 4, 5, 2, 3));
}

TEST(BartPlan, TheClassifierReadsTheLastEndOfATextAndNamesATextWithoutOne) {
  EXPECT_THAT(end_rows(batch_of({{2, 6, 2}, {2}, {2, 1, 1, 4}}), 2), ElementsAre(2, 3, 4));
  const Batch without = batch_of({{5, 2}, {5, 6}});
  const auto error = [&](const std::vector<size_t>& numbers) {
    return error_text([&] { end_rows(without, 2, numbers); }, ErrorCode::usage);
  };
  EXPECT_THAT(error({}), HasSubstr("text 2: no end-of-sequence token (id 2)"));
  EXPECT_THAT(error({7, 9}), HasSubstr("text 9: no end-of-sequence token (id 2)"));
  for (const bool mlx : {false, true}) {
    if (mlx && !std::filesystem::exists(MLXE_BUILD_DIR "/libmlxe_engine_mlx.so")) continue;
    Loaded loaded(BartKind::bart, mlx ? make_mlx_engine({}) : make_cpu_engine({.threads = 1}));
    const auto run = [&](Output wanted) {
      RunResult result;
      loaded.engine->run(loaded.model, {.batch = without, .wanted = {wanted}, .numbers = {7, 9}}, result);
    };
    EXPECT_THAT(error_text([&] { run(Output::text_logits); }, ErrorCode::usage),
                HasSubstr("text 9: no end-of-sequence token (id 2), whose state the classifier reads"));
    EXPECT_NO_THROW(run(Output::hidden)) << "nothing reads the token";
  }
  // In a batch that the cpu engine cuts into parts, too.
  std::vector<std::vector<int32_t>> texts(300, {5, 6, 7, 2});
  texts[287] = {5, 6, 7};
  Loaded loaded(BartKind::bart, make_cpu_engine({.threads = 2}));
  for (const bool numbered : {false, true}) {
    RunRequest request{.batch = batch_of(texts), .wanted = {Output::text_logits}};
    for (size_t i = 0; numbered && i < texts.size(); ++i) request.numbers.push_back(1001 + i);
    RunResult result;
    EXPECT_THAT(error_text([&] { loaded.engine->run(loaded.model, request, result); }, ErrorCode::usage),
                HasSubstr(numbered ? "text 1288: no end" : "text 288: no end"));
  }
}

TEST(BartPlan, IsPrintedWithTheSourceOfKeysAndValues) {
  const auto printed = [](BartKind kind) {
    PlanBuilder p(mlxe::bart(config_of(kind)));
    add_classifier(p, {.transform = {"dense", Activation::tanh}, .out = "out", .reads_end = true}, 3);
    const Plan plan = p.finish();
    return to_text(plan, plan.whole, [](const std::string&) { return std::string(); });
  };
  EXPECT_THAT(printed(BartKind::bart),
              AllOf(HasSubstr("layers 0 to 1: encoder.layers.0. to encoder.layers.1."),
                    HasSubstr("shared by ids shifted right [96, 64] times 8"), HasSubstr("2 heads, causal"),
                    HasSubstr("encoder.layers.1.final_layer_norm"), HasSubstr("end tokens")));
  EXPECT_THAT(printed(BartKind::mbart), HasSubstr("shared by ids shifted right, the last one first"));
}

TEST(BartPlan, ValuesOfAnEarlierLayerAreItsOutput) {
  PlanBuilder p;
  const ValueId words = p.lookup(std::array{std::pair(p.table("words", 10, 8), RowIndex::ids)});
  const ValueId inner = p.linear("inner", words, 8);
  p.end_layer(p.linear("outer", inner, 8));
  p.end_layer(p.add("sum", p.hidden(), inner));
  EXPECT_THAT(error_text([&] { p.finish(); }, ErrorCode::internal),
              HasSubstr("inner: read by a later layer, but no output of its own"));
}

TEST(BartPlan, KnowsWhoReadsTheEncoderLater) {
  for (const BartKind kind : {BartKind::bart, BartKind::mbart}) {
    const Plan plan = mlxe::bart(config_of(kind));
    for (const PlanGraph* graph : {&plan.whole, &plan.first_tokens}) {
      EXPECT_THAT(earlier_layers(*graph, 0), ElementsAre());
      EXPECT_THAT(earlier_layers(*graph, 3), ElementsAre()) << "the layer's own input";
      EXPECT_THAT(earlier_layers(*graph, 4), ElementsAre(2));
      EXPECT_THAT(earlier_layers(*graph, 5), ElementsAre(2));
      EXPECT_THAT(earlier_layers(*graph, 6), ElementsAre()) << "heads read the decoder's result alone";
    }
  }
}

// As sensitivity runs a model: with the encoder's result beside the input of a layer of the decoder.
TEST(BartPlan, ARunThatBeginsAtAnyLayerGivesTheSameBits) {
  RunsFromLayer runs(mlxe::bart(config_of(BartKind::mbart)));
  const Batch batch = ended_batch({33, 5});
  const Matrix whole = runs.run(batch);
  const std::vector<cpu::Tensor> layers = runs.layers();
  for (const size_t layer : {1U, 2U, 3U, 4U, 5U}) {
    PlanStart<cpu::CpuOps> start{.layer = layer, .input = layers[layer - 1]};
    if (layer > 3) start.earlier = {{2, layers[2]}};
    EXPECT_EQ(runs.run(batch, std::move(start)).values, whole.values) << layer;
  }
  // Twin: another layer's output in place of the encoder's.
  PlanStart<cpu::CpuOps> start{.layer = 5, .input = layers[4], .earlier = {{2, layers[1]}}};
  EXPECT_NE(runs.run(batch, std::move(start)).values, whole.values);
}

}  // namespace
}  // namespace mlxe::test::bart_test
