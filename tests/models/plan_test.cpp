// The plan of a model: the errors of the builder, and the passes over a plan.
#include "models/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <string>
#include <utility>
#include <vector>

#include "models/albert.h"
#include "models/bert.h"
#include "models/engine.h"
#include "models/heads.h"
#include "models/plan_builder.h"
#include "models/plan_text.h"
#include "models/random_model.h"
#include "test_files.h"

namespace mlxe::test::plan_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr BertConfig kBert{.vocab_size = 11,
                           .hidden_size = 8,
                           .layers = 2,
                           .heads = 2,
                           .intermediate_size = 32,
                           .max_positions = 5,
                           .type_vocab_size = 2,
                           .layer_norm_epsilon = 1e-12f,
                           .activation = Activation::gelu_erf};

// The operations of a layer, in words. "linear:2" is an operation of two modules.
std::vector<std::string> described(const PlanGraph& graph, size_t layer) {
  std::vector<std::string> ops;
  for (size_t i = graph.layers[layer].first_op; i < graph.layer_end(layer); ++i) {
    const PlanOp& op = graph.ops[i];
    std::string text = name(op.kind);
    if (op.kind == OpKind::multi_linear) text += ":" + std::to_string(op.modules.size());
    if (graph.values[static_cast<size_t>(op.outputs[0])].rows == RowKind::texts) text += " of first";
    ops.push_back(text);
  }
  return ops;
}

TEST(Plan, NamesEachTensorOnceInTheOrderOfTheCheckpoint) {
  BertConfig config = kBert;
  config.layers = 1;
  const Plan plan = bert(config);
  std::vector<std::string> names;
  for (const Parameter& p : plan.parameters) names.push_back(p.name + " " + to_string(p.shape));
  EXPECT_THAT(
      names,
      ElementsAre(
          "embeddings.word_embeddings.weight [11, 8]", "embeddings.position_embeddings.weight [5, 8]",
          "embeddings.token_type_embeddings.weight [2, 8]", "embeddings.LayerNorm.weight [8]",
          "embeddings.LayerNorm.bias [8]", "encoder.layer.0.attention.self.query.weight [8, 8]",
          "encoder.layer.0.attention.self.query.bias [8]", "encoder.layer.0.attention.self.key.weight [8, 8]",
          "encoder.layer.0.attention.self.key.bias [8]", "encoder.layer.0.attention.self.value.weight [8, 8]",
          "encoder.layer.0.attention.self.value.bias [8]",
          "encoder.layer.0.attention.output.dense.weight [8, 8]",
          "encoder.layer.0.attention.output.dense.bias [8]",
          "encoder.layer.0.attention.output.LayerNorm.weight [8]",
          "encoder.layer.0.attention.output.LayerNorm.bias [8]",
          "encoder.layer.0.intermediate.dense.weight [32, 8]", "encoder.layer.0.intermediate.dense.bias [32]",
          "encoder.layer.0.output.dense.weight [8, 32]", "encoder.layer.0.output.dense.bias [8]",
          "encoder.layer.0.output.LayerNorm.weight [8]", "encoder.layer.0.output.LayerNorm.bias [8]"));
}

// "embeddings.LayerNorm.weight: norms" or "...: attention of 3".
std::vector<std::string> components(const Plan& plan) {
  std::vector<std::string> found;
  for (const Parameter& p : plan.parameters)
    if (p.name.ends_with("weight"))
      found.push_back(p.name.substr(0, p.name.rfind('.')) + ": " + name(p.component) +
                      (p.layer ? " of " + std::to_string(*p.layer) : ""));
  return found;
}

TEST(Plan, SaysWhatEachParameterBelongsTo) {
  BertConfig config = kBert;
  config.layers = 1;
  config.embedding_size = 4;
  Plan plan = bert(config);
  PlanBuilder p(std::move(plan));
  add_pooler(p);
  plan = p.finish();
  EXPECT_THAT(
      components(plan),
      ElementsAre("embeddings.word_embeddings: embeddings", "embeddings.position_embeddings: embeddings",
                  "embeddings.token_type_embeddings: embeddings", "embeddings.LayerNorm: norms",
                  "embeddings_project: embeddings", "encoder.layer.0.attention.self.query: attention of 0",
                  "encoder.layer.0.attention.self.key: attention of 0",
                  "encoder.layer.0.attention.self.value: attention of 0",
                  "encoder.layer.0.attention.output.dense: attention of 0",
                  "encoder.layer.0.attention.output.LayerNorm: norms of 0",
                  "encoder.layer.0.intermediate.dense: feed-forward of 0",
                  "encoder.layer.0.output.dense: feed-forward of 0",
                  "encoder.layer.0.output.LayerNorm: norms of 0", "pooler.dense: head"));
  EXPECT_EQ(plan.encoder_parameters().back().name, "encoder.layer.0.output.LayerNorm.bias");
}

TEST(Plan, ModulesOfOneNameShareTheirParameters) {
  PlanBuilder p;
  const ValueId x = p.lookup(std::array{std::pair(p.table("words", 10, 8), RowIndex::ids)});
  const ValueId y = p.linear("dense", p.linear("dense", x, 8), 8);
  EXPECT_THAT(error_text([&] { p.linear("dense", y, 4); }, ErrorCode::internal),
              HasSubstr("dense.weight: is [8, 8], now [4, 8]"));
  p.end_layer(y);
  Plan plan = p.finish();
  EXPECT_THAT(components(plan), ElementsAre("words: embeddings", "dense: embeddings"));
  plan.parameters[1].handle = 5;
  plan.parameters[2].handle = 6;
  for (const size_t op : {1U, 2U}) {
    EXPECT_EQ(plan.linear(plan.whole.ops[op], 0).weight, 5);
    EXPECT_EQ(plan.linear(plan.whole.ops[op], 0).bias, 6);
  }
}

TEST(Plan, ShapesThatDoNotFitAreAnErrorThatNamesTheModule) {
  PlanBuilder p;
  const int words = p.table("words", 10, 8), narrow = p.table("places", 10, 4);
  const ValueId x = p.lookup(std::array{std::pair(words, RowIndex::ids)});
  EXPECT_THAT(
      error_text(
          [&] {
            p.lookup(std::array{std::pair(words, RowIndex::ids), std::pair(narrow, RowIndex::positions)});
          },
          ErrorCode::internal),
      HasSubstr("places: adds 4 columns to 8"));
  p.scope("layer.3.");
  const ValueId y = p.linear("up", x, 12);
  EXPECT_THAT(error_text([&] { p.layer_norm("norm", p.add("sum", y, x), 0); }, ErrorCode::internal),
              HasSubstr("layer.3.sum: adds 12 columns to 8"));
  EXPECT_THAT(error_text(
                  [&] {
                    p.attention("self", {x, y, x}, {.heads = 2});
                  },
                  ErrorCode::internal),
              HasSubstr("layer.3.self: queries have 8 columns, keys or values 12"));
  EXPECT_THAT(error_text(
                  [&] {
                    p.attention("self", {x, x, x}, {.heads = 3});
                  },
                  ErrorCode::internal),
              HasSubstr("layer.3.self: 3 heads do not divide 8 columns"));
  EXPECT_THAT(error_text([&] { p.layer_norm("norm", 99, 0); }, ErrorCode::internal),
              HasSubstr("reads value 99 of"));
  p.end_layer(x);
  p.linear("after", x, 8);
  EXPECT_THAT(error_text([&] { p.finish(); }, ErrorCode::internal),
              HasSubstr("operations after the last layer"));
}

TEST(Plan, OfFirstTokensNarrowsTheLastLayerAlone) {
  const Plan plan = bert(kBert);
  EXPECT_THAT(described(plan.whole, 2), ElementsAre("linear:3", "attention", "linear:1", "add, layer norm",
                                                    "feed forward", "add, layer norm"));
  for (const size_t layer : {0U, 1U})
    EXPECT_EQ(described(plan.first_tokens, layer), described(plan.whole, layer)) << layer;
  EXPECT_THAT(described(plan.first_tokens, 2),
              ElementsAre("first tokens of first", "linear:1 of first", "linear:2", "attention of first",
                          "linear:1 of first", "add, layer norm of first", "feed forward of first",
                          "add, layer norm of first"));
}

TEST(Plan, AValueLivesUntilItsLastReader) {
  const Plan plan = bert(kBert);
  for (const PlanGraph* graph : {&plan.whole, &plan.first_tokens}) {
    std::vector<size_t> made(graph->values.size()), read(graph->values.size());
    for (size_t i = 0; i < graph->ops.size(); ++i) {
      for (const ValueId id : graph->ops[i].outputs) made[static_cast<size_t>(id)] = i;
      for (const ValueId id : graph->ops[i].inputs) {
        EXPECT_LT(made[static_cast<size_t>(id)], i);
        read[static_cast<size_t>(id)] = i;
      }
    }
    read[static_cast<size_t>(graph->result())] = graph->ops.size();
    EXPECT_EQ(graph->last_reader, read);
  }
}

TEST(Plan, CountsTheOperationsOfItsLinears) {
  const Plan plan = bert(kBert);
  const double layer = 4 * 8 * 8 + 2 * 8 * 32;  // multiplications a token
  EXPECT_EQ(linear_operations(plan, plan.whole, 70, 10), 2 * 70 * 2 * layer);
  // In the last layer, keys and values are computed for all tokens.
  EXPECT_EQ(linear_operations(plan, plan.first_tokens, 70, 10),
            2 * (70 * (layer + 2 * 8 * 8) + 10 * (layer - 2 * 8 * 8)));
}

TEST(Plan, IsPrintedOnceForLayersThatAreAlike) {
  const Plan plan = bert(kBert);
  const auto stored = [](const std::string& tensor) {
    return tensor.ends_with("intermediate.dense.weight") ? std::string("4-bit") : std::string();
  };
  EXPECT_EQ(to_text(plan, plan.whole, stored), R"(embeddings
  a      [T, 8]  lookup                  embeddings.word_embeddings by ids [11, 8], embeddings.token_type_embeddings by token types [2, 8], embeddings.position_embeddings by positions [5, 8]
  x      [T, 8]  layer norm       a      embeddings.LayerNorm
layers 0 to 1: encoder.layer.0. to encoder.layer.1.
  a b c  [T, 8]  linears          x      attention.self.query [8, 8], attention.self.key [8, 8], attention.self.value [8, 8]
  d      [T, 8]  attention        a b c  2 heads
  e      [T, 8]  linear           d      attention.output.dense [8, 8]
  f      [T, 8]  add, layer norm  e x    attention.output.LayerNorm
  g      [T, 8]  feed forward     f      intermediate.dense [32, 8] 4-bit, gelu_erf, output.dense [8, 32]
  x      [T, 8]  add, layer norm  g f    output.LayerNorm
)");
  // Twin: if one matrix is stored otherwise, the layers are printed separately.
  const auto mixed = [](const std::string& tensor) {
    return tensor == "encoder.layer.1.output.dense.weight" ? std::string("8-bit") : std::string();
  };
  EXPECT_THAT(to_text(plan, plan.whole, mixed), HasSubstr("layer 1: encoder.layer.1.\n"));
}

// Three layers, of which the first two share their weights.
Plan three_layers() {
  BertConfig config = kBert;
  config.layers = 3;
  config.embedding_size = 4;
  return albert(config, {.groups = 2});
}

TEST(Plan, OfSharedLayersHasEachParameterOnce) {
  const Plan plan = three_layers();
  EXPECT_EQ(plan.layers(), 3);
  constexpr size_t kLayer = 16;  // six linears and two norms, with biases
  ASSERT_EQ(plan.parameters.size(), 5 + 2 + 2 * kLayer);
  EXPECT_EQ(plan.parameters[5].name, "encoder.embedding_hidden_mapping_in.weight");
  EXPECT_EQ(plan.parameters[5].component, Component::embeddings);
  std::vector<std::string> shared;
  for (const ParameterId id : shared_weights(plan)) shared.push_back(plan.parameter(id).name);
  const std::string layer = "encoder.albert_layer_groups.0.albert_layers.0.";
  EXPECT_THAT(shared, ElementsAre(layer + "attention.query.weight", layer + "attention.key.weight",
                                  layer + "attention.value.weight", layer + "attention.dense.weight",
                                  layer + "attention.LayerNorm.weight", layer + "ffn.weight",
                                  layer + "ffn_output.weight", layer + "full_layer_layer_norm.weight"));
  // Each use counts.
  EXPECT_EQ(linear_operations(plan, plan.whole, 70, 10), 2 * 70 * (4 * 8 + 3 * (4 * 8 * 8 + 2 * 8 * 32)));
  // The twins: no matrix of BERT is shared, nor is one that an operation reads in parts.
  EXPECT_THAT(shared_weights(bert(kBert)), ElementsAre());
  EXPECT_THAT(shared_weights(tiny_model(Kind::modernbert).plan), ElementsAre());
}

TEST(Plan, OfSharedLayersIsPrintedOnce) {
  const std::string text =
      to_text(three_layers(), three_layers().whole, [](const std::string&) { return ""; });
  EXPECT_THAT(text,
              HasSubstr("layers 0 to 1, the same: encoder.albert_layer_groups.0.\n"
                        "  a b c  [T, 8]  linears          x      albert_layers.0.attention.query [8, 8]"));
  EXPECT_THAT(text, HasSubstr("layer 2: encoder.albert_layer_groups.1.\n"));
}

// The groups of transformers 4.57.6: int(layer / (18 / 14)). With exact division, layer 9 would be the first of group 7.
TEST(Plan, OfSharedLayersHasTheGroupsOfTheOriginal) {
  BertConfig config = kBert;
  config.layers = 18;
  config.embedding_size = 4;
  const Plan plan = albert(config, {.groups = 14, .inner_layers = 2});
  std::string groups;
  for (size_t layer = 1; layer < plan.whole.layers.size(); ++layer) {
    const size_t first = plan.whole.layers[layer].first_op;
    ASSERT_EQ(plan.whole.layer_end(layer) - first, 2 * 6U);
    const std::string name = plan.at(plan.whole.ops[first].modules[0]).name;
    groups += name.substr(28, name.find('.', 28) - 28) + " ";
    EXPECT_THAT(plan.at(plan.whole.ops[first + 6].modules[0]).name, HasSubstr(".albert_layers.1."));
  }
  EXPECT_EQ(groups, "0 0 1 2 3 3 4 5 6 6 7 8 9 10 10 11 12 13 ");
}

std::vector<std::string> outputs_of(const PlanGraph& graph) {
  std::vector<std::string> names;
  for (const OutputEntry& o : kOutputTable)
    if (graph.output(o.output) != kNoValue) names.emplace_back(o.name);
  return names;
}

// The operations that an output needs beyond the encoder's.
std::vector<std::string> head(const PlanGraph& graph, Output output) {
  std::vector<std::string> ops;
  for (size_t i = graph.first_head; i < graph.ops.size(); ++i)
    if (graph.ops[i].wanted_by.contains(output)) ops.emplace_back(name(graph.ops[i].kind));
  return ops;
}

TEST(Plan, HasHeadsAsOperations) {
  PlanBuilder p(bert(kBert));
  add_pooler(p);
  add_token_classifier(p, {}, 3);
  const DenseSpec dense{.folder = "2_Dense",
                        .in = 16,
                        .out = 4,
                        .activation = "tanh",
                        .use_residual = true,
                        .residual = StoredWeight{}};
  add_sentence_pipeline(p, std::vector<SentenceModuleSpec>{PoolingSpec{{PoolingKind::cls, PoolingKind::mean}},
                                                           dense, NormalizeSpec{}});
  const Plan plan = p.finish();
  EXPECT_THAT(outputs_of(plan.whole), ElementsAre("hidden", "pooler", "sentence", "token_logits"));
  EXPECT_THAT(head(plan.whole, Output::pooled), ElementsAre("first tokens", "linear", "activation"));
  EXPECT_THAT(head(plan.whole, Output::token_logits), ElementsAre("linear"));
  EXPECT_THAT(head(plan.whole, Output::sentence), ElementsAre("pool", "pool", "concatenate", "linear",
                                                              "activation", "linear", "add", "normalize"));
  EXPECT_EQ(plan.columns(Output::sentence), 4);
  // Those of modules come last and are not the checkpoint's.
  EXPECT_EQ(plan.checkpoint_parameters().back().name, "classifier.bias");
  EXPECT_EQ(plan.parameters[plan.in_checkpoint()].name, "2_Dense/linear.weight");
  EXPECT_EQ(plan.parameters.back().name, "2_Dense/residual.weight");
}

TEST(Plan, OfFirstTokensHasTheHeadsThatReadNoOther) {
  const auto narrowed = [](PoolingKind kind) {
    PlanBuilder p(bert(kBert));
    add_pooler(p);
    add_classifier(p, {.transform = {"dense", Activation::tanh}, .out = "out", .pooling = kind}, 3);
    add_token_classifier(p, {}, 3);
    add_sentence_pipeline(p, std::vector<SentenceModuleSpec>{PoolingSpec{{kind}}, NormalizeSpec{}});
    return p.finish().first_tokens;
  };
  const PlanGraph first = narrowed(PoolingKind::cls);
  EXPECT_THAT(outputs_of(first), ElementsAre("pooler", "sentence", "logits"));
  // The encoder's result has no other rows, so that nothing is taken of it.
  EXPECT_THAT(head(first, Output::pooled), ElementsAre("linear", "activation"));
  EXPECT_THAT(head(first, Output::sentence), ElementsAre("normalize"));
  EXPECT_THAT(outputs_of(narrowed(PoolingKind::mean)), ElementsAre("pooler"));
}

TEST(Plan, AHeadThatDoesNotFitIsAnErrorThatNamesIt) {
  PlanBuilder p(bert(kBert));
  const ValueId first = p.take_first(p.hidden());
  const auto error = [](const auto& record) { return error_text(record, ErrorCode::internal); };
  EXPECT_THAT(error([&] { p.add("sum", first, p.hidden()); }),
              HasSubstr("sum: adds rows of tokens to rows of texts"));
  EXPECT_THAT(error([&] { p.pool(first, PoolingKind::mean); }), HasSubstr("pooling: of rows of texts"));
  EXPECT_THAT(error([&] { p.output(Output::token_logits, first); }),
              HasSubstr("token_logits: has rows of kind tokens, not texts"));
  EXPECT_THAT(error_text(
                  [&] {
                    add_sentence_pipeline(
                        p, std::vector<SentenceModuleSpec>{
                               PoolingSpec{}, DenseSpec{.folder = "2_Dense", .in = 9, .out = 4}});
                  },
                  ErrorCode::format),
              HasSubstr("2_Dense: in_features is 9, the module before it gives 8 values"));
}

// A model with a layer that adds its input twice, and with keys and values computed from the embeddings.
Plan unusual() {
  PlanBuilder p;
  const std::array tables{std::pair(p.table("words", kVocabulary, kHidden), RowIndex::ids)};
  const ValueId first = p.layer_norm("norm", p.lookup(tables), 1e-5f);
  p.end_layer(first);
  ValueId x = first;
  for (int i = 0; i < 2; ++i) {
    p.scope("layer." + std::to_string(i) + ".");
    const ValueId q = p.linear("query", x, kHidden);
    const std::array<std::string, 2> names{"key", "value"};
    const std::vector<ValueId> kv = p.multi_linear(names, first, kHidden);
    const ValueId a = p.attention("self", {q, kv[0], kv[1]}, {.heads = kHeads});
    const ValueId b = p.layer_norm("norm1", p.add("sum1", p.linear("out", a, kHidden), x), 1e-5f);
    const ValueId f = p.feed_forward("up", "down", b, kFeedForward, Activation::relu);
    x = p.layer_norm("norm2", p.add("sum2", f, x), 1e-5f);
    p.end_layer(x);
  }
  Plan plan = p.finish();
  plan.max_tokens = kPositions;
  return plan;
}

TEST(Plan, ARunLeavesOutWhatNothingWantedDependsOn) {
  Model model = tiny_model(Kind::bert);
  RandomWeights weights({.dtype = Dtype::f32});
  const auto engine = make_cpu_engine({.threads = 1});
  fill(model, [&](const Parameter& p) { return engine->add(weights.store(p)); });
  for (Parameter& p : model.plan.parameters)
    if (p.name == "pooler.dense.weight") p.handle = kNoWeight;
  RunResult result;
  const Batch batch = random_batch({4, 2});
  engine->run(model, {.batch = batch, .wanted = {Output::layers, Output::sentence, Output::text_logits}},
              result);
  EXPECT_EQ(result[Output::sentence].rows, 2);
  EXPECT_EQ(result[Output::hidden].rows, 0);
  // Twin.
  EXPECT_THROW(engine->run(model, {.batch = batch, .wanted = {Output::pooled}}, result), Error);
}

TEST(Plan, NarrowedGivesTheSameBits) {
  PlanBuilder p(unusual());
  add_classifier(p, {.transform = {"dense", Activation::tanh}, .out = "classifier"}, 3);
  Model model{.model_type = "unusual", .plan = p.finish()};
  // No token but the first reads layer 0's result in the end, so that layer is narrowed too.
  EXPECT_THAT(described(model.plan.first_tokens, 1),
              ElementsAre("first tokens of first", "linear:1 of first", "linear:2", "attention of first",
                          "linear:1 of first", "add, layer norm of first", "feed forward of first",
                          "add, layer norm of first"));
  RandomWeights weights({.dtype = Dtype::f32});
  const auto engine = make_cpu_engine({.threads = 2});
  fill(model, [&](const Parameter& spec) { return engine->add(weights.store(spec)); });
  RunRequest request{.batch = random_batch({9, 1, 30, 4}), .wanted = {Output::hidden, Output::text_logits}};
  RunResult whole, narrowed;
  engine->run(model, request, whole);
  request.wanted.remove(Output::hidden);
  engine->run(model, request, narrowed);
  EXPECT_EQ(narrowed[Output::text_logits].values, whole[Output::text_logits].values);
  // Twin: values in place of keys.
  for (PlanOp& op : model.plan.first_tokens.ops)
    if (op.kind == OpKind::attention) op.inputs[1] = op.inputs[2];
  engine->run(model, request, narrowed);
  EXPECT_NE(narrowed[Output::text_logits].values, whole[Output::text_logits].values);
}

}  // namespace
}  // namespace mlxe::test::plan_test
