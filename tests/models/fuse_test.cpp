// The pass that makes one operation of several: what it replaces, what it leaves, and that values stay the same.
#include "models/fuse.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "models/engine.h"
#include "models/plan_builder.h"
#include "models/random_model.h"

namespace mlxe::test::fuse_test {
namespace {

using testing::ElementsAre;
using Fused = PlanBuilder::Fused;

// The operations of layer 1, in words. "linear:2" is one operation of two linears, "gated" has a gate.
std::vector<std::string> operations(const PlanGraph& graph) {
  std::vector<std::string> ops;
  for (size_t i = graph.layers[1].first_op; i < graph.layer_end(1); ++i) {
    const PlanOp& op = graph.ops[i];
    ops.emplace_back(name(op.kind));
    if (op.kind == OpKind::multi_linear) ops.back() += ":" + std::to_string(op.modules.size());
    if (op.kind == OpKind::feed_forward && op.modules.size() == 3) ops.back() += ", gated";
  }
  return ops;
}

// A model of one layer, recorded by `layer`, which gets the value of the embeddings and returns the layer's.
Plan model_of(const std::function<ValueId(PlanBuilder&, ValueId)>& layer, Fused fused = Fused::yes) {
  PlanBuilder p;
  const ValueId x = p.lookup(std::array{std::pair(p.table("words", kVocabulary, kHidden), RowIndex::ids)});
  p.end_layer(x);
  p.end_layer(layer(p, x));
  Plan plan = p.finish(fused);
  plan.max_tokens = kPositions;
  return plan;
}

std::vector<std::string> fused(const std::function<ValueId(PlanBuilder&, ValueId)>& layer) {
  return operations(model_of(layer).whole);
}

const std::array<std::string, 3> kQkv{"query", "key", "value"};

// Everything that is fused, in one layer.
ValueId everything(PlanBuilder& p, ValueId x) {
  const ValueId attended = p.attention("self", p.multi_linear(kQkv, x, kHidden), {.heads = kHeads});
  const ValueId a = p.layer_norm("norm1", p.add("sum1", p.linear("out", attended, kHidden), x), 1e-5f);
  const ValueId f = p.feed_forward("up", "down", a, kFeedForward, Activation::gelu_erf);
  const ValueId b = p.rms_norm("norm2", p.add("sum2", f, a), 1e-5f);
  const ValueId g =
      p.gated_feed_forward("both", "down2", b, kFeedForward, Activation::silu, Bias::no, Bias::no);
  const ValueId c = p.add("sum3", g, b);
  return p.add("sum4", c,
               p.gated_feed_forward("gate", "up3", "down3", c, kFeedForward, Activation::relu, Bias::yes));
}

TEST(Fuse, MakesOneOperationOfSeveral) {
  EXPECT_THAT(
      operations(model_of(everything, Fused::no).whole),
      ElementsAre("linear:1", "linear:1", "linear:1", "attention", "linear:1", "add", "layer norm",  //
                  "linear:1", "activation", "linear:1", "add", "layer norm",                         //
                  "linear:1", "activation", "linear:1", "multiply", "linear:1", "add",               //
                  "linear:1", "activation", "linear:1", "multiply", "linear:1", "add"));
  EXPECT_THAT(fused(everything),
              ElementsAre("linear:3", "attention", "linear:1", "add, layer norm", "feed forward",
                          "add, layer norm", "feed forward, gated", "add", "feed forward, gated", "add"));
}

TEST(Fuse, AGateIsTheActivatedOfTwo) {
  for (const bool gate_first : {true, false}) {
    const Plan plan = model_of([&](PlanBuilder& p, ValueId x) {
      const ValueId gate = p.activation(p.linear("gate", x, kFeedForward), Activation::silu);
      const ValueId up = p.linear("up", x, kFeedForward);
      return p.linear("down", gate_first ? p.multiply("product", gate, up) : p.multiply("product", up, gate),
                      kHidden);
    });
    ASSERT_THAT(operations(plan.whole), ElementsAre("feed forward, gated"));
    const PlanOp& op = plan.whole.ops.back();
    std::vector<std::string> modules;
    for (const int m : op.modules) modules.push_back(plan.at(m).name);
    EXPECT_THAT(modules, ElementsAre("up", "down", "gate")) << gate_first;
    EXPECT_EQ(op.activation, Activation::silu);
  }
}

TEST(Fuse, LeavesWhatOthersRead) {
  // The sum.
  EXPECT_THAT(fused([](PlanBuilder& p, ValueId x) {
                const ValueId sum = p.add("sum", x, x);
                return p.add("again", p.layer_norm("norm", sum, 1e-5f), sum);
              }),
              ElementsAre("add", "layer norm", "add"));
  // The activated value.
  EXPECT_THAT(fused([](PlanBuilder& p, ValueId x) {
                const ValueId active = p.activation(p.linear("up", x, kHidden), Activation::relu);
                return p.add("sum", p.linear("down", active, kHidden), active);
              }),
              ElementsAre("linear:1", "activation", "linear:1", "add"));
  // The value before the activation.
  EXPECT_THAT(fused([](PlanBuilder& p, ValueId x) {
                const ValueId up = p.linear("up", x, kHidden);
                return p.add("sum", p.linear("down", p.activation(up, Activation::relu), kHidden), up);
              }),
              ElementsAre("linear:1", "activation", "linear:1", "add"));
  // A gate of another input.
  EXPECT_THAT(fused([](PlanBuilder& p, ValueId x) {
                const ValueId y = p.layer_norm("norm", x, 1e-5f);
                const ValueId gate = p.activation(p.linear("gate", y, kHidden), Activation::silu);
                return p.linear("down", p.multiply("product", gate, p.linear("up", x, kHidden)), kHidden);
              }),
              ElementsAre("layer norm", "linear:1", "activation", "linear:1", "multiply", "linear:1"));
}

TEST(Fuse, LeavesWhatUsersSee) {
  // The sum is the output of a layer, and the norm belongs to the next one.
  PlanBuilder p;
  ValueId x = p.lookup(std::array{std::pair(p.table("words", kVocabulary, kHidden), RowIndex::ids)});
  p.end_layer(x);
  x = p.add("sum", x, x);
  p.end_layer(x);
  x = p.layer_norm("norm", x, 1e-5f);
  p.end_layer(x);
  EXPECT_THAT(operations(p.finish().whole), ElementsAre("add"));
}

TEST(Fuse, LeavesHeads) {
  PlanBuilder p(model_of(everything));
  const ValueId x = p.activation(p.linear("dense", p.take_first(p.hidden()), kHidden), Activation::tanh);
  p.output(Output::text_logits, p.linear("classifier", x, 3));
  const PlanGraph graph = p.finish().whole;
  std::vector<std::string> ops;
  for (size_t i = graph.first_head; i < graph.ops.size(); ++i) ops.emplace_back(name(graph.ops[i].kind));
  EXPECT_THAT(ops, ElementsAre("first tokens", "linear", "activation", "linear"));
}

TEST(Fuse, LeavesNoValueThatNothingMakes) {
  const PlanGraph graph = model_of(everything).whole;
  std::vector<ValueId> made;
  for (const PlanOp& op : graph.ops) made.insert(made.end(), op.outputs.begin(), op.outputs.end());
  ASSERT_EQ(made.size(), graph.values.size());
  for (size_t i = 0; i < made.size(); ++i) EXPECT_EQ(made[i], static_cast<ValueId>(i));
  EXPECT_EQ(graph.values.back().name, "sum4");
}

// The float32 values that the model's layer gives.
std::vector<float> values(Plan plan) {
  Model model{.model_type = "tiny", .plan = std::move(plan)};
  RandomWeights weights({.dtype = Dtype::f32});
  const auto engine = make_cpu_engine({.threads = 1});
  fill(model, [&](const Parameter& p) { return engine->add(weights.store(p)); });
  RunResult result;
  engine->run(model, {.batch = random_batch({1, 7, 33}), .wanted = {Output::hidden}}, result);
  const Matrix& hidden = result[Output::hidden];
  return {hidden.values.begin(), hidden.values.end()};
}

TEST(Fuse, ChangesNoValue) {
  const std::vector<float> unfused = values(model_of(everything, Fused::no));
  Plan plan = model_of(everything);
  EXPECT_EQ(values(plan), unfused);
  // Twin: an attribute of a fused operation counts.
  for (PlanOp& op : plan.whole.ops)
    if (op.kind == OpKind::feed_forward && op.activation == Activation::silu)
      op.activation = Activation::tanh;
  EXPECT_NE(values(plan), unfused);
}

}  // namespace
}  // namespace mlxe::test::fuse_test
