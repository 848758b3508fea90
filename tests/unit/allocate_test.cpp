// Mixed precision: the knapsack, costs of matrices, targets, recipes and presets.
#include "mlx_encoder/allocate.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <random>
#include <set>

#include "allocate/costs.h"
#include "allocate/frontier.h"
#include "allocate/held_out.h"
#include "allocate/model_trace.h"
#include "allocate/recipe.h"
#include "allocate/whole_progress.h"
#include "base/sha256.h"
#include "encoder/text_runner.h"
#include "mlx_encoder/compare.h"
#include "mlx_encoder/inspect.h"
#include "mlx_encoder/sensitivity.h"
#include "model_folders.h"
#include "tokenizer/tokenizer.h"

namespace mlxe::allocate_test {
namespace {

namespace fs = std::filesystem;
using allocate::Choice;
using allocate::Frontier;
using test::error_text;
using test::names_in;
using test::TemporaryFolder;
using test::tiny;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

using Instance = std::vector<std::vector<Choice>>;

Instance random_instance(size_t tensors, size_t choices, unsigned seed) {
  std::mt19937 generator(seed);
  Instance instance;
  for (size_t t = 0; t < tensors; ++t) {
    instance.emplace_back();
    for (size_t c = 0; c < choices; ++c)
      instance.back().push_back({10 + generator() % 90, static_cast<double>(generator() % 1000) / 8});
  }
  return instance;
}

// The lowest cost of all combinations of at most `bytes` bytes; infinity if none is small enough.
double brute_force(const Instance& instance, uint64_t bytes, size_t tensor = 0) {
  if (tensor == instance.size()) return 0;
  double best = INFINITY;
  for (const Choice& c : instance[tensor])
    if (c.bytes <= bytes) best = std::min(best, c.cost + brute_force(instance, bytes - c.bytes, tensor + 1));
  return best;
}

// Number of budgets for which the frontier's answer is not the best.
int mistakes(const Frontier& frontier, const Instance& instance) {
  int wrong = 0;
  for (uint64_t bytes = 40; bytes <= 520; bytes += 7) {
    const std::optional<size_t> found = frontier.within(bytes);
    // Sums of multiples of 1/8 are exact in any order.
    wrong += (found ? frontier.total(*found).cost : INFINITY) != brute_force(instance, bytes);
  }
  return wrong;
}

TEST(Frontier, IsAsGoodAsTryingEverything) {
  for (unsigned seed = 1; seed <= 5; ++seed) {
    const Instance instance = random_instance(5, 4, seed);
    EXPECT_EQ(mistakes(Frontier(instance), instance), 0) << seed;
    Instance damaged = instance;  // the twin: without a tensor's cheapest choice
    damaged[2].erase(std::ranges::min_element(damaged[2], {}, &Choice::cost));
    EXPECT_GT(mistakes(Frontier(damaged), instance), 0) << seed;
  }
}

TEST(Frontier, ChoicesAddUpToTheirTotal) {
  const Instance instance = random_instance(6, 5, 9);
  const Frontier frontier(instance);
  for (size_t i = 0; i < frontier.size(); ++i) {
    const std::vector<size_t> chosen = frontier.choices(i);
    Choice sum;
    for (size_t t = 0; t < chosen.size(); ++t) {
      sum.bytes += instance[t][chosen[t]].bytes;
      sum.cost += instance[t][chosen[t]].cost;
    }
    EXPECT_EQ(sum.bytes, frontier.total(i).bytes);
    EXPECT_EQ(sum.cost, frontier.total(i).cost);
    if (i == 0) continue;
    EXPECT_GT(frontier.total(i).bytes, frontier.total(i - 1).bytes);
    EXPECT_LT(frontier.total(i).cost, frontier.total(i - 1).cost);
  }
}

// As in large models: far more totals than the frontier keeps. Costs fall by a factor of four with each
// bit, as errors do.
TEST(Frontier, StaysNearTheBoundWhereItHasToThinOut) {
  std::mt19937 generator(3);
  Instance instance;
  for (int t = 0; t < 150; ++t) {
    instance.emplace_back();
    const uint64_t weights = 100'000 + generator() % 1'000'000;
    const double cost = std::exp2(static_cast<double>(generator() % 64) / 8);
    for (const int bits : {2, 3, 4, 5, 6, 8, 16})
      for (const int group : {32, 64, 128})
        instance.back().push_back(
            {weights * static_cast<uint64_t>(bits) / 8 + 4 * weights / static_cast<uint64_t>(group),
             cost * std::pow(4.0, -bits) * (1 + 0.1 * std::log2(group / 32.0))});
  }
  const Frontier frontier(instance);
  EXPECT_LE(frontier.size(), Frontier::kMostTotals);
  for (const size_t at : {frontier.size() / 4, frontier.size() / 2}) {
    const Choice found = frontier.total(at);
    // Lower bound for any price: an allocation of at most these bytes costs at least
    //   sum of min(cost + price * bytes) - price * bytes.
    double bound = 0;
    for (double price = 1e-12; price < 1; price *= 1.05) {
      double sum = -price * static_cast<double>(found.bytes);
      for (const auto& choices : instance) {
        double least = INFINITY;
        for (const Choice& c : choices)
          least = std::min(least, c.cost + price * static_cast<double>(c.bytes));
        sum += least;
      }
      bound = std::max(bound, sum);
    }
    // The bound is below the optimum by a part of one tensor's step: less than 1 % with 150 tensors.
    EXPECT_LT(found.cost, 1.01 * bound) << at;
    EXPECT_GE(found.cost, bound) << at;
  }
}

TEST(Frontier, AnswersAtItsEnds) {
  const Frontier frontier(Instance{{{10, 4.0}, {20, 1.0}}, {{5, 2.0}}});
  EXPECT_EQ(frontier.within(14), std::nullopt);
  EXPECT_EQ(frontier.within(15), 0u);
  EXPECT_EQ(frontier.within(1000), 1u);
  EXPECT_EQ(frontier.costing(6.0), 0u);
  EXPECT_EQ(frontier.costing(5.9), 1u);
  EXPECT_EQ(frontier.costing(0.1), 1u);  // none is as cheap: the largest
}

TEST(Target, IsReadWithItsUnits) {
  EXPECT_EQ(parse_target(TargetKind::size, "45MB").value, 45e6);
  EXPECT_EQ(parse_target(TargetKind::size, "1.5 MiB").value, 1.5 * 0x1p20);
  EXPECT_EQ(parse_target(TargetKind::size, "900kB").value, 900e3);
  EXPECT_EQ(parse_target(TargetKind::size, "123456").value, 123456);
  EXPECT_EQ(parse_target(TargetKind::bits, "4.5").value, 4.5);
  EXPECT_EQ(parse_target(TargetKind::cosine, "0.995").value, 0.995);
  EXPECT_EQ(parse_target(TargetKind::relative_error, "0.01").value, 0.01);
  EXPECT_EQ(parse_target(TargetKind::flips, "1%").value, 0.01);
  EXPECT_EQ(parse_target(TargetKind::flips, "0.02").value, 0.02);
  for (const auto& [kind, text] :
       std::vector<std::pair<TargetKind, const char*>>{{TargetKind::size, "45 apples"},
                                                       {TargetKind::size, "-1MB"},
                                                       {TargetKind::size, ""},
                                                       {TargetKind::size, "0"},
                                                       {TargetKind::bits, "4MB"},
                                                       {TargetKind::bits, "nan"},
                                                       {TargetKind::cosine, "1.2"},
                                                       {TargetKind::cosine, "99%"},
                                                       {TargetKind::relative_error, "0"},
                                                       {TargetKind::relative_error, "1%"},
                                                       {TargetKind::flips, "100%"},
                                                       {TargetKind::flips, "few"}})
    EXPECT_THAT(error_text([&] { parse_target(kind, text); }, ErrorCode::usage),
                HasSubstr(fmt::format("{}: found \"{}\"", option_of(kind), text)));
}

// Texts of random words. Every tiny vocabulary can spell them letter by letter.
std::vector<TextInput> texts(size_t count = 300, unsigned seed = 1) {
  std::mt19937 generator(seed);
  std::vector<TextInput> result;
  for (size_t i = 0; i < count; ++i) {
    std::string text;
    for (size_t word = 0, words = 2 + generator() % 6; word < words; ++word) {
      for (size_t letter = 0, letters = 1 + generator() % 4; letter < letters; ++letter)
        text += static_cast<char>('a' + generator() % 26);
      text += ' ';
    }
    result.push_back({.text = text, .pair = {}});
  }
  return result;
}

ConvertOptions options(const fs::path& model, const fs::path& output) {
  return {.model = model, .output = output, .scheme = {.dtype = Dtype::f16}};
}

TEST(Trace, FindsWhatTheOutputReadsAndWhere) {
  const LoadedModel bert = load_model(tiny("bert"), {});
  const auto uses = allocate::trace(bert.model, Output::sentence);
  std::vector<std::string> first;
  for (const auto& u : uses)
    if (u.stage <= 1) first.push_back(fmt::format("{} {}", u.name, name(u.matrix)));
  EXPECT_THAT(first, ElementsAre("embeddings.word_embeddings.weight table",
                                 "embeddings.token_type_embeddings.weight table",
                                 "embeddings.position_embeddings.weight table",
                                 "encoder.layer.0.attention.self.query.weight query",
                                 "encoder.layer.0.attention.self.key.weight key",
                                 "encoder.layer.0.attention.self.value.weight value",
                                 "encoder.layer.0.attention.output.dense.weight attention_out",
                                 "encoder.layer.0.intermediate.dense.weight up",
                                 "encoder.layer.0.output.dense.weight down"));
  for (const auto& u : uses) EXPECT_THAT(u.name, Not(HasSubstr("pooler")));
  const LoadedModel nli = load_model(tiny("distilbert_nli"), {});
  const auto with_head = allocate::trace(nli.model, Output::text_logits);
  EXPECT_EQ(with_head.back().name, "classifier.weight");
  EXPECT_EQ(with_head.back().matrix, allocate::MatrixRole::head);
}

TEST(Trace, FindsEveryMatrixOfADecoder) {
  std::vector<std::string> roles;
  for (const auto& u : allocate::trace(load_model(tiny("qwen3_lm"), {}).model, Output::sentence))
    roles.emplace_back(name(u.matrix));
  EXPECT_THAT(roles, ElementsAre("table", "query", "key", "value", "attention_out", "up", "gate", "down"));
}

TEST(Trace, FindsProjectionsOfPositions) {
  std::vector<std::string> roles;
  for (const auto& u : allocate::trace(load_model(tiny("deberta_v2_cls"), {}).model, Output::text_logits))
    if (u.stage == 1) roles.emplace_back(name(u.matrix));
  EXPECT_THAT(
      roles, ElementsAre("query", "key", "value", "projection", "projection", "attention_out", "up", "down"));
}

// The cost that compare() measures for a folder with one matrix at 4 bits and all others float32.
double cost_by_folder(const char* model, const std::string& matrix, const std::vector<TextInput>& inputs) {
  const TemporaryFolder folder;
  ConvertOptions o = options(tiny(model), folder / "out");
  o.scheme = {Mode::affine, 4, 32, Dtype::f32};
  for (const PlannedTensor& t : plan_conversion(o).tensors)
    if (t.shape.size() == 2) o.allocation[t.name] = {.dtype = Dtype::f32};
  o.allocation[matrix] = o.scheme;
  convert(o);
  const Comparison c = compare(o.model, o.output, {.texts = inputs}, {.engine = EngineKind::cpu});
  return 1 - c.tensor("pooled_vector").cosine.mean;
}

TEST(Sensitivity, IsWhatAFolderWithThatMatrixAloneCosts) {
  const std::vector<TextInput> inputs = texts(60);
  const Sensitivity s = measure_sensitivity(
      {.model = tiny("st_mean_norm"), .texts = inputs, .bits = {4}, .group_size = 32, .dtype = Dtype::f32});
  EXPECT_EQ(s.metric, "1 - cosine");
  EXPECT_EQ(s.texts, 60);
  std::vector<double> costs;
  for (const TensorSensitivity& t : s.tensors) {
    costs.push_back(t.widths[0].cost);
    if (t.name != "embeddings.word_embeddings.weight" && t.layer != 1) continue;
    // The same kernels run on the same values. Only the order of summing 60 cosines near 1 differs: at most
    // 60 * 2^-53.
    EXPECT_NEAR(t.widths[0].cost, cost_by_folder("st_mean_norm", t.name, inputs), 1e-13) << t.name;
  }
  std::ranges::sort(costs);  // the twin: no two matrices cost the same
  for (size_t i = 1; i < costs.size(); ++i) EXPECT_GT(costs[i] - costs[i - 1], 1e-12);
  EXPECT_GT(s.wholes[0].sum, 0);
  EXPECT_NEAR(s.wholes[0].sum, std::accumulate(costs.begin(), costs.end(), 0.0), 1e-12);
  // Errors of different matrices have no common direction, so costs add up, roughly.
  EXPECT_LT(s.wholes[0].cost, 2 * s.wholes[0].sum);
  EXPECT_GT(s.wholes[0].cost, 0.5 * s.wholes[0].sum);
  EXPECT_THAT(to_svg(s), HasSubstr("<svg"));
}

TEST(Sensitivity, OfADecoderIsWhatAFolderWithThatMatrixAloneCosts) {
  const std::vector<TextInput> inputs = texts(60);
  const Sensitivity s = measure_sensitivity(
      {.model = tiny("st_qwen3"), .texts = inputs, .bits = {4}, .group_size = 32, .dtype = Dtype::f32});
  EXPECT_EQ(s.tensors.size(), 15U);
  for (const TensorSensitivity& t : s.tensors) {
    if (t.layer == 0) continue;
    EXPECT_NEAR(t.widths[0].cost, cost_by_folder("st_qwen3", t.name, inputs), 1e-13) << t.name;
  }
}

// A run that begins at a later layer of the decoder reads the encoder's result, too.
TEST(Sensitivity, OfAnEncoderAndADecoderIsWhatAFolderWithThatMatrixAloneCosts) {
  const std::vector<TextInput> inputs = texts(60);
  const Sensitivity s = measure_sensitivity(
      {.model = tiny("bart"), .texts = inputs, .bits = {4}, .group_size = 32, .dtype = Dtype::f32});
  EXPECT_EQ(s.tensors.size(), 29U);  // 3 tables; 6 matrices of an encoder's layer, 10 of a decoder's
  for (const TensorSensitivity& t : s.tensors) {
    if (t.layer == 0 || t.layer == 1) continue;  // the encoder's and the decoder's first
    EXPECT_NEAR(t.widths[0].cost, cost_by_folder("bart", t.name, inputs), 1e-13) << t.name;
  }
}

// A run that begins at layer 1 computes that layer's projections of positions, with the changed matrix.
TEST(Sensitivity, OfMatricesThatTokensAndPositionsShareIsWhatAFolderCosts) {
  const std::vector<TextInput> inputs = texts(60);
  const Sensitivity s = measure_sensitivity(
      {.model = tiny("deberta_v2"), .texts = inputs, .bits = {4}, .group_size = 32, .dtype = Dtype::f32});
  EXPECT_EQ(s.tensors.size(), 14U);
  for (const TensorSensitivity& t : s.tensors) {
    if (t.layer != 1 && t.name != "encoder.rel_embeddings.weight") continue;
    EXPECT_NEAR(t.widths[0].cost, cost_by_folder("deberta_v2", t.name, inputs), 1e-13) << t.name;
  }
}

// A matrix that layers share is one matrix: its cost is that of rounding all its uses.
TEST(Sensitivity, OfSharedLayersIsWhatAFolderWithThatMatrixAloneCosts) {
  const std::vector<TextInput> inputs = texts(60);
  const Sensitivity s = measure_sensitivity(
      {.model = tiny("albert"), .texts = inputs, .bits = {4}, .group_size = 32, .dtype = Dtype::f32});
  EXPECT_EQ(s.tensors.size(), 2U + 1 + 2 * 6);  // tables, their projection, two layers for three uses
  uint64_t bytes = 0;
  for (const TensorSensitivity& t : s.tensors) {
    bytes += t.widths[0].bytes;
    if (t.part != "value" && t.part != "projection") continue;
    EXPECT_NEAR(t.widths[0].cost, cost_by_folder("albert", t.name, inputs), 1e-13) << t.name;
  }
  EXPECT_EQ(s.wholes[0].bytes, bytes);
}

TEST(Sensitivity, FewerBitsCostMoreAndThreadsChangeNothing) {
  SensitivityOptions o{.model = tiny("distilbert_nli"), .texts = texts(80), .bits = {2, 4, 8}, .threads = 1};
  const Sensitivity one = measure_sensitivity(o);
  o.threads = 3;
  const Sensitivity three = measure_sensitivity(o);
  EXPECT_EQ(one.metric, "KL divergence");
  EXPECT_TRUE(one.labels);
  EXPECT_EQ(to_json(one), to_json(three));
  for (const TensorSensitivity& t : one.tensors) {
    EXPECT_GT(t.widths[0].cost, t.widths[1].cost) << t.name;
    EXPECT_GT(t.widths[1].cost, t.widths[2].cost) << t.name;
  }
  EXPECT_EQ(one.order_bits, 4);
}

TEST(Sensitivity, ReadsTokenClassifiersByToken) {
  const Sensitivity s = measure_sensitivity({.model = tiny("bert_ner"), .texts = texts(40), .bits = {2}});
  EXPECT_EQ(s.rows, "tokens");
  EXPECT_GT(s.wholes[0].cost, 0);
}

TEST(Sensitivity, RefusesWhatItCantMeasure) {
  EXPECT_THAT(
      error_text([] { measure_sensitivity({.model = tiny("bert"), .texts = texts(5)}); }, ErrorCode::usage),
      HasSubstr("found 5 texts, expected at least 24"));
  EXPECT_THAT(
      error_text([] { measure_sensitivity({.model = tiny("bert"), .texts = texts(40), .bits = {7}}); },
                 ErrorCode::usage),
      HasSubstr("7"));
  EXPECT_THAT(error_text(
                  [] {
                    measure_sensitivity({.model = tiny("bert"), .texts = texts(40), .bits = {4, 4}});
                  },
                  ErrorCode::usage),
              HasSubstr("4 bits are given twice"));
}

// The cost at 3 bits is interpolated between those measured at 2 and 4 bits. It is nearer to the measured
// one than an extrapolation from 4 bits alone.
TEST(Costs, OfAWidthBetweenTwoAreInferredFromBoth) {
  const TextRunner runner(tiny("st_mean_norm"), {.engine = EngineKind::cpu, .threads = 1, .warning = {}});
  const std::vector<Sequence> sequences = tokenize_both(runner, runner, texts(80), Pairs::apart, {});
  allocate::SensitivityRunner sensitivity(runner, Output::sentence, sequences);
  const auto costs = [&](std::vector<int> bits, std::vector<int> others) {
    return allocate::measure_costs(
        sensitivity, sensitivity.tensors(),
        {.bits = std::move(bits), .group_size = 32, .other_bits = std::move(others), .other_groups = {}}, {});
  };
  const auto between = costs({2, 4}, {3}), above = costs({4}, {3}), measured = costs({3}, {});
  double off = 0, off_above = 0;  // of logarithms
  for (size_t t = 0; t < measured.size(); ++t) {
    const double three = between[t].inferred[0].cost, truth = measured[t].measured[0].cost;
    ASSERT_EQ(between[t].inferred[0].scheme.bits, 3);
    if (!(truth > 0)) continue;
    EXPECT_GE(three, between[t].measured[1].cost) << measured[t].use.name;
    EXPECT_LE(three, between[t].measured[0].cost) << measured[t].use.name;
    off += std::abs(std::log(three / truth));
    off_above += std::abs(std::log(above[t].inferred[0].cost / truth));
  }
  EXPECT_LT(off, off_above);
}

TEST(WholeProgress, AddsPartsUpAndEndsOnce) {
  std::vector<uint64_t> heard;
  allocate::WholeProgress whole(
      [&](std::string_view stage, uint64_t done, uint64_t total) {
        EXPECT_EQ(stage, "finding bits");
        EXPECT_EQ(total, 1000u);
        heard.push_back(done);
      },
      40);
  const Progress first = whole.part("measuring", 10), second = whole.part("calibrating", 30);
  first("measuring", 1, 2);
  first("measuring", 2, 2);
  second("converting", 9, 9);  // bytes, of the same conversion
  second("calibrating", 1, 3);
  second("calibrating", 3, 3);
  whole.part("calibrating", 30)("calibrating", 1, 2);  // more than was planned
  whole.finish();
  EXPECT_THAT(heard, ElementsAre(125, 250, 500, 999, 999, 1000));
  allocate::WholeProgress({}, 1).finish();
}

TEST(TargetSize, IsMetFromBelowWithinAPercent) {
  const TemporaryFolder folder;
  const ConvertOptions o = options(tiny("bert"), folder / "out");
  const auto size_at = [&](int bits) {
    ConvertOptions uniform = o;
    uniform.scheme = {Mode::affine, bits, 32, Dtype::f16};
    return static_cast<double>(plan_conversion(uniform).predicted_bytes);
  };
  const double low = size_at(3), high = size_at(6);
  for (const double share : {0.2, 0.5, 0.9}) {
    const Target target{TargetKind::size, low + share * (high - low), "x"};
    const TargetedConversion done = convert_to_target(o, target, texts(), Outcome::discard);
    EXPECT_LE(static_cast<double>(done.chosen.bytes), target.value);
    EXPECT_GE(static_cast<double>(done.chosen.bytes), 0.99 * target.value);
    EXPECT_THAT(names_in(folder.path()), IsEmpty());
  }
}

// Costs of a classifier's matrices need not add up. In any case, the conversion that measured best is kept.
TEST(TargetSize, OfAClassifierIsNeverWorseThanOneWidthForAll) {
  bool mixed = false, uniform = false;
  for (const char* model : {"distilbert_cls", "bert_ner", "roberta_cls"})
    for (const char* bits : {"3.5", "4.5", "5.5", "6.6"}) {
      SCOPED_TRACE(fmt::format("{} {}", model, bits));
      const TemporaryFolder folder;
      const ConvertOptions o = options(tiny(model), folder / "out");
      const TargetedConversion done = convert_to_target(o, parse_target(TargetKind::bits, bits), texts());
      ASSERT_EQ(done.trials.size(), 2u);  // each is converted once
      EXPECT_EQ(done.chosen.measured.cost, done.trials[done.one_width ? 0 : 1].measured.cost);
      for (const Trial& t : done.trials) {
        EXPECT_LE(done.chosen.measured.cost, t.measured.cost);
        EXPECT_LE(t.bits, std::stod(bits));
      }
      EXPECT_EQ(done.conversion.bytes, fs::file_size(o.output / "model.safetensors"));
      std::set<std::string> widths;
      for (const PlannedTensor& t : done.conversion.plan.tensors)
        if (t.scheme.mode == Mode::affine) widths.insert(to_string(t.scheme));
      (done.one_width ? uniform : mixed) = true;
      EXPECT_TRUE(done.one_width || widths.size() > 1);
    }
  EXPECT_TRUE(mixed);
  EXPECT_TRUE(uniform);
}

// compare and the measurement of a target count labels with different code, over the same tokens.
TEST(HeldOutTexts, OfATokenClassifierAgreeWithCompare) {
  const TemporaryFolder folder;
  const std::vector<TextInput> inputs = texts();
  const fs::path model = tiny("bert_ner");
  ConvertOptions o = options(model, folder / "out");
  o.scheme = {Mode::affine, 2, 32, Dtype::f16};
  convert(o);
  const TextRunner runner(model, {.engine = EngineKind::cpu, .activations = Activations::float32});
  const HeldOut proof =
      allocate::HeldOutTexts(runner, Output::token_logits, {inputs, {}}, 1 << 20).measure(o.output);
  const Comparison c = compare(model, o.output, {.texts = inputs}, {.engine = EngineKind::cpu});
  EXPECT_EQ(c.output, "logits");
  EXPECT_EQ(c.tensor("probabilities").rows, proof.rows);
  EXPECT_EQ(c.tokens, proof.rows);
  ASSERT_TRUE(c.labels.has_value());
  EXPECT_TRUE(c.labels->by_token);
  EXPECT_EQ(c.labels->texts, proof.rows);
  EXPECT_GT(c.labels->flips, 0);
  EXPECT_DOUBLE_EQ(static_cast<double>(c.labels->flips) / static_cast<double>(proof.rows), proof.flips);
  EXPECT_NEAR(c.labels->kl, proof.cost, 1e-9);
  const Flip& flip = c.labels->listed.at(0);
  const std::string& text = inputs.at(static_cast<size_t>(flip.text)).text;
  EXPECT_GE(flip.token, 0);
  EXPECT_THAT(flip.content, testing::EndsWith(": " + text));

  const Comparison same = compare(model, model, {.texts = inputs}, {.engine = EngineKind::cpu});
  EXPECT_EQ(same.labels->flips, 0);
  EXPECT_EQ(same.tensor("probabilities").max_abs, 0.0);
}

TEST(TargetSize, IsProvedOnTextsThatHadNoPartInIt) {
  const TemporaryFolder folder;
  const std::vector<TextInput> all = texts();
  const ConvertOptions o = options(tiny("st_mean_norm"), folder / "out");
  const TargetedConversion done = convert_to_target(o, parse_target(TargetKind::bits, "6.5"), all);
  EXPECT_LE(done.chosen.bits, 6.5);
  EXPECT_EQ(done.conversion.bytes, fs::file_size(folder / "out" / "model.safetensors"));
  EXPECT_EQ(done.conversion.plan.folder_bytes, test::bytes_in(o.output));
  EXPECT_THAT(names_in(o.output), Contains("mlx_encoder_recipe.json"));
  const std::string chart = test::read_file(o.output / "mlx_encoder_pareto.svg");
  EXPECT_THAT(chart, HasSubstr("<svg"));
  EXPECT_EQ(compare(o.model, o.output, {.texts = {all[0]}}, {.engine = EngineKind::cpu}).pareto_chart, chart);
  EXPECT_THAT(names_in(folder.path()), ElementsAre("out"));
  const auto cost_on = [&](const std::vector<TextInput>& inputs) {
    return 1 - compare(o.model, o.output, {.texts = inputs}, {.engine = EngineKind::cpu})
                   .tensor("pooled_vector")
                   .cosine.mean;
  };
  const allocate::Split split = allocate::split(all, allocate::kHeldOutEvery);
  EXPECT_EQ(split.held_out.texts.size(), all.size() / 3);
  EXPECT_NEAR(done.chosen.measured.cost, cost_on(split.held_out.texts), 1e-12);
  EXPECT_GT(std::abs(done.chosen.measured.cost - cost_on(split.fitted.texts)), 1e-9);  // the twin
}

// Errors number a text as it was given, not as it stands in its part.
TEST(TargetTexts, AreNumberedAsGiven) {
  const TemporaryFolder folder;
  fs::copy(tiny("st_cls"), folder / "bare", fs::copy_options::recursive);
  nlohmann::json tokenizer = read_json(folder / "bare/tokenizer.json");
  tokenizer["post_processor"] = nullptr;
  test::write_file(folder / "bare/tokenizer.json", tokenizer.dump());
  const int32_t cat = Tokenizer::load(tiny("st_cls"), {}).encode("cat").ids.at(1);
  const fs::path damaged =
      test::changed_copy(tiny("st_cls"), folder / "damaged", [&](test::RawTensors& tensors) {
        const auto table = std::ranges::find_if(
            tensors, [](const auto& t) { return t.first.ends_with("word_embeddings.weight"); });
        std::vector<float> values = test::floats(table->second);
        values[static_cast<size_t>(cat) * static_cast<size_t>(table->second.shape[1])] = NAN;
        table->second = test::float_tensor(table->second.shape, values);
      });
  for (const size_t number : {1, 31, 33, 60}) {  // 33 and 60 are held out
    std::vector<TextInput> inputs(60, {"the road was late", std::nullopt});
    const auto error = [&](const fs::path& model, ErrorCode code) {
      return error_text(
          [&] {
            convert_to_target(options(model, folder / "out"), parse_target(TargetKind::bits, "8"), inputs);
          },
          code);
    };
    inputs[number - 1].text = "";
    EXPECT_THAT(error(folder / "bare", ErrorCode::format),
                ::testing::StartsWith(fmt::format("text {}: no token", number)));
    inputs[number - 1].text = "the cat was late and so was the road";  // of another length: sorted elsewhere
    EXPECT_THAT(error(damaged, ErrorCode::numeric),
                ::testing::StartsWith(fmt::format("text {}: NaN in the sentence vector", number)));
    EXPECT_THAT(error_text([&] { measure_sensitivity({.model = damaged, .texts = inputs, .bits = {4}}); },
                           ErrorCode::numeric),
                ::testing::StartsWith(fmt::format("text {}: NaN in the sentence vector", number)));
  }
}

// In the middle of the long phases: an error that names the file, and nothing is written.
TEST(TargetSize, NoticesASourceThatChangesMeanwhile) {
  for (const uint64_t step :
       {1, 900})  // of a thousand: while costs are measured, and while an allocation is calibrated
    for (const Outcome outcome : {Outcome::commit, Outcome::discard}) {
      const TemporaryFolder folder;
      fs::copy(tiny("st_dense"), folder / "model", fs::copy_options::recursive);
      ConvertOptions o = options(folder / "model", folder / "out");
      o.calibration = Calibration{.texts = texts(60), .built_in = BuiltInText::left_out};
      bool done = false;
      const auto change = [&](std::string_view stage, uint64_t n, uint64_t) {
        if (stage != "finding bits" || n < step || n == 1000 || std::exchange(done, true)) return;
        ::usleep(20'000);  // file times have the system's tick as unit
        std::fstream file(folder / "model/model.safetensors",
                          std::ios::in | std::ios::out | std::ios::binary);
        file.seekp(-1, std::ios::end);
        file.put('\x01');
      };
      o.progress = change;
      const auto run = [&] {
        return convert_to_target(o, parse_target(TargetKind::bits, "6"), texts(), outcome);
      };
      EXPECT_THAT(error_text(run, ErrorCode::io), HasSubstr("model.safetensors")) << step;
      EXPECT_TRUE(done);
      EXPECT_THAT(names_in(folder.path()), ElementsAre("model"));
      if (outcome != Outcome::commit) continue;
      o.progress = {};
      run();
      o.output = folder / "fresh";
      run();
      EXPECT_EQ(test::read_file(folder / "out/model.safetensors"),
                test::read_file(folder / "fresh/model.safetensors"));
    }
}

TEST(Sensitivity, NoticesASourceThatChangesMeanwhile) {
  const TemporaryFolder folder;
  fs::copy(tiny("bert"), folder / "model", fs::copy_options::recursive);
  SensitivityOptions o{.model = folder / "model", .texts = texts(40), .bits = {4}, .group_size = 32};
  EXPECT_NO_THROW(measure_sensitivity(o));
  bool done = false;
  o.progress = [&](std::string_view, uint64_t, uint64_t) {
    if (std::exchange(done, true)) return;
    ::usleep(20'000);
    std::fstream file(folder / "model/model.safetensors", std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(-1, std::ios::end);
    file.put('\x01');
  };
  EXPECT_THAT(error_text([&] { measure_sensitivity(o); }, ErrorCode::io), HasSubstr("model.safetensors"));
}

TEST(TargetSize, BeatsOneWidthOfTheSameSize) {
  const TemporaryFolder folder;
  ConvertOptions uniform = options(tiny("bert"), folder / "uniform");
  uniform.scheme = {Mode::affine, 4, 32, Dtype::f16};
  const Conversion plain = convert(uniform);
  const ConvertOptions o = options(tiny("bert"), folder / "mixed");
  const Target target{TargetKind::size, static_cast<double>(plain.bytes), "x"};
  const TargetedConversion done = convert_to_target(o, target, texts());
  const auto cost_of = [&](const fs::path& converted) {
    return 1 - compare(o.model, converted, {.texts = texts(200, 77)}, {.engine = EngineKind::cpu})
                   .tensor("pooled_vector")
                   .cosine.mean;
  };
  EXPECT_LE(done.conversion.bytes, plain.bytes);
  EXPECT_LT(cost_of(o.output), cost_of(uniform.output));
}

TEST(TargetSize, ThatCantBeMetSaysHowNearItCame) {
  const TemporaryFolder folder;
  const ConvertOptions o = options(tiny("bert"), folder / "out");
  EXPECT_THAT(error_text([&] { convert_to_target(o, parse_target(TargetKind::size, "9kB"), texts()); },
                         ErrorCode::usage),
              HasSubstr("--target-size 9kB: the smallest this model can be is "));
  EXPECT_THAT(error_text([&] { convert_to_target(o, parse_target(TargetKind::bits, "30"), texts()); },
                         ErrorCode::usage),
              HasSubstr("--target-bits 30: the largest, with floats wherever bits are chosen, is 15."));
  EXPECT_THAT(error_text([&] { convert_to_target(o, parse_target(TargetKind::size, "50kB"), texts(20)); },
                         ErrorCode::usage),
              HasSubstr("found 20 texts, expected at least 24"));
  EXPECT_THAT(names_in(folder.path()), IsEmpty());
}

TEST(TargetCosine, IsMetByTheSmallestThatMeasuresSo) {
  const TemporaryFolder folder;
  const ConvertOptions o = options(tiny("bert"), folder / "out");
  const TargetedConversion done = convert_to_target(o, parse_target(TargetKind::cosine, "0.999"), texts());
  EXPECT_LE(done.chosen.measured.cost, 0.001);
  EXPECT_GT(done.chosen.measured.cost, 0.0005);  // not by far: cost doubles with half a bit
  const TargetedConversion strict =
      convert_to_target(options(o.model, folder / "strict"), parse_target(TargetKind::cosine, "0.9999"),
                        texts(), Outcome::discard);
  EXPECT_GT(strict.chosen.bytes, done.chosen.bytes);
  EXPECT_LE(strict.chosen.measured.cost, 0.0001);
  EXPECT_THAT(error_text(
                  [&] {
                    convert_to_target({.model = o.model, .output = folder / "no"},
                                      parse_target(TargetKind::cosine, "0.99999999999"), texts());
                  },
                  ErrorCode::usage),
              HasSubstr("the nearest is "));
  EXPECT_THAT(names_in(folder.path()), ElementsAre("out"));
}

// A constant vector added to all of a model's raises every cosine. A cosine target then means less; a
// relative-error target means the same.
TEST(TargetRelativeError, KeepsItsMeaningWhereVectorsLieClose) {
  const TemporaryFolder folder;
  const fs::path close = test::changed_copy(tiny("bert"), folder / "close", [](test::RawTensors& t) {
    test::RawTensor& bias = t.at("encoder.layer.1.output.LayerNorm.bias");
    std::vector<float> values = test::floats(bias);
    for (size_t i = 0; i < values.size(); ++i) values[i] += i % 2 == 0 ? 3.0f : -3.0f;
    bias = test::float_tensor(bias.shape, values);
  });
  const auto chosen = [&](const fs::path& model, TargetKind kind, const char* text) {
    return convert_to_target(options(model, folder / "out"), parse_target(kind, text), texts(),
                             Outcome::discard)
        .chosen;
  };
  const Trial plain = chosen(tiny("bert"), TargetKind::relative_error, "0.01");
  EXPECT_LE(plain.measured.relative_error, 0.01);
  EXPECT_GT(plain.measured.relative_error, 0.005);  // not by far: the error doubles with half a bit
  EXPECT_GT(plain.measured.relative_error, plain.measured.cost);
  const Trial hidden = chosen(close, TargetKind::relative_error, "0.01");
  EXPECT_LE(hidden.measured.relative_error, 0.01);
  EXPECT_LT(hidden.measured.cost, plain.measured.cost / 2) << "a cosine that says less";
  EXPECT_NEAR(hidden.bits, plain.bits, 0.5);
  EXPECT_THAT(error_text([&] { chosen(tiny("distilbert_nli"), TargetKind::relative_error, "0.01"); },
                         ErrorCode::usage),
              HasSubstr("use --max-flips"));
}

TEST(TargetFlips, NeedLabels) {
  const TemporaryFolder folder;
  const ConvertOptions nli = options(tiny("distilbert_nli"), folder / "out");
  const TargetedConversion done = convert_to_target(nli, parse_target(TargetKind::flips, "5%"), texts());
  EXPECT_LE(done.chosen.measured.flips, 0.05);
  EXPECT_TRUE(done.chosen.measured.labels);
  const auto refused = [&](const char* model, TargetKind kind, const char* text, Layout layout = Layout::hf) {
    ConvertOptions o = options(tiny(model), folder / "no");
    o.layout = layout;
    return error_text([&] { convert_to_target(o, parse_target(kind, text), texts()); }, ErrorCode::usage);
  };
  EXPECT_THAT(refused("distilbert_nli", TargetKind::cosine, "0.99"), HasSubstr("use --max-flips"));
  EXPECT_THAT(refused("bert", TargetKind::flips, "1%"), HasSubstr("use --min-cosine"));
  EXPECT_THAT(refused("bert_regression", TargetKind::flips, "1%"), HasSubstr("use --target-size"));
  EXPECT_THAT(refused("distilbert_nli", TargetKind::flips, "1%", Layout::mlx_embeddings),
              HasSubstr("use --min-cosine"));
  EXPECT_THAT(names_in(folder.path()), ElementsAre("out"));
}

std::string weights_and_config(const fs::path& folder) {
  return sha256_hex(folder / "model.safetensors") + sha256_hex(folder / "config.json");
}

TEST(Recipe, GivesTheSameBytesWithoutMeasuring) {
  const TemporaryFolder folder;
  for (const bool calibrated : {false, true}) {
    ConvertOptions o = options(tiny("bert_prefix"), folder / fmt::format("first{}", calibrated));
    o.keep = {"encoder.layer.0.attention.self.query"};
    if (calibrated) o.calibration = Calibration{.texts = texts(), .built_in = BuiltInText::left_out};
    const TargetedConversion first = convert_to_target(o, parse_target(TargetKind::bits, "7"),
                                                       calibrated ? std::vector<TextInput>{} : texts());
    ConvertOptions again = options(o.model, folder / fmt::format("again{}", calibrated));
    again.calibration = o.calibration;
    std::vector<std::string> warnings;
    again.warning = [&](std::string_view s) { warnings.emplace_back(s); };
    const fs::path recipe = o.output / "mlx_encoder_recipe.json";
    apply_recipe(recipe, again);
    convert(again);
    EXPECT_EQ(weights_and_config(again.output), weights_and_config(o.output));
    for (const std::string& w : warnings) EXPECT_THAT(w, Not(HasSubstr("it was made")));

    nlohmann::json changed = nlohmann::json::parse(test::read_file(recipe));  // the twin
    for (nlohmann::json& t : changed["tensors"])
      if (t["name"] == "encoder.layer.0.output.dense.weight")
        t = {{"name", t["name"]}, {"shape", t["shape"]}, {"bits", 16}};
    test::write_file(folder / "changed.json", changed.dump());
    ConvertOptions other = options(o.model, folder / fmt::format("other{}", calibrated));
    other.calibration = o.calibration;
    apply_recipe(folder / "changed.json", other);
    convert(other);
    EXPECT_NE(weights_and_config(other.output), weights_and_config(o.output));

    const TargetedConversion skipped = convert_to_target(o, parse_target(TargetKind::bits, "7"),
                                                         calibrated ? std::vector<TextInput>{} : texts());
    EXPECT_TRUE(skipped.conversion.skipped);
    EXPECT_EQ(skipped.chosen.measured.cost, first.chosen.measured.cost);
    EXPECT_THAT(error_text([&] { convert_to_target(o, parse_target(TargetKind::bits, "6.9"), texts()); },
                           ErrorCode::usage),
                HasSubstr("--force"));
  }
}

// The folder holds the very weights that will be written, of another request: they are measured all the same.
TEST(TargetSize, IsMeasuredThoughTheFolderHoldsTheSameConversion) {
  const TemporaryFolder folder;
  ConvertOptions o = options(tiny("bert"), folder / "out");
  const TargetedConversion first = convert_to_target(o, parse_target(TargetKind::bits, "7"), texts());
  const fs::path recipe = o.output / "mlx_encoder_recipe.json";
  nlohmann::json changed = nlohmann::json::parse(test::read_file(recipe));
  changed["request"] = "another";
  test::write_file(recipe, changed.dump());
  o.if_done = IfDone::renew;
  const TargetedConversion again = convert_to_target(o, parse_target(TargetKind::bits, "7"), texts());
  EXPECT_FALSE(again.conversion.skipped);
  EXPECT_EQ(again.chosen.measured.rows, first.chosen.measured.rows);
  EXPECT_EQ(again.chosen.measured.cost, first.chosen.measured.cost);
  EXPECT_NE(nlohmann::json::parse(test::read_file(recipe))["request"], "another");
}

TEST(Recipe, OfAnotherModelNamesTheTensor) {
  const TemporaryFolder folder;
  const ConvertOptions o = options(tiny("bert"), folder / "out");
  convert_to_target(o, parse_target(TargetKind::bits, "7"), texts());
  const fs::path recipe = o.output / "mlx_encoder_recipe.json";
  const auto refused = [&](const fs::path& file, const fs::path& model, ErrorCode code) {
    ConvertOptions other = options(model, folder / "no");
    return error_text([&] { apply_recipe(file, other); }, code);
  };
  EXPECT_THAT(refused(recipe, tiny("distilbert"), ErrorCode::format),
              HasSubstr("transformer.layer.0.attention.q_lin.weight is not in it"));
  const auto changed = [&](const std::function<void(nlohmann::json&)>& change) {
    nlohmann::json json = nlohmann::json::parse(test::read_file(recipe));
    change(json);
    test::write_file(folder / "changed.json", json.dump());
    return refused(folder / "changed.json", o.model, ErrorCode::format);
  };
  EXPECT_THAT(changed([](auto& j) { j["tensors"].erase(0); }), HasSubstr(" is not in it"));
  EXPECT_THAT(changed([](auto& j) {
                j["tensors"][0]["shape"] = {3, 4};
              }),
              HasSubstr("is [3, 4] in the recipe"));
  EXPECT_THAT(changed([](auto& j) { j["tensors"][0]["name"] = "nobody.weight"; }), HasSubstr(" is not in "));
  EXPECT_THAT(changed([](auto& j) { j["tensors"][0]["bits"] = 7; }), HasSubstr("7"));
  EXPECT_THAT(changed([](auto& j) { j["tensors"] = "all"; }), HasSubstr("expected a recipe"));
  EXPECT_THAT(changed([](auto& j) { j.erase("scheme"); }), HasSubstr("scheme"));
  EXPECT_THAT(changed([](auto& j) { j = nlohmann::json::array(); }), HasSubstr("has no \"version\""));
  test::write_file(folder / "broken.json", "{\"version\": 1, ");
  refused(folder / "broken.json", o.model, ErrorCode::format);
  refused(folder / "absent.json", o.model, ErrorCode::not_found);
  ConvertOptions with_set = options(o.model, folder / "no");
  with_set.overrides = {"*=8"};
  EXPECT_THAT(error_text([&] { apply_recipe(recipe, with_set); }, ErrorCode::usage), HasSubstr("--set out"));

  // Other weights of the same shapes give a warning.
  test::changed_copy(tiny("bert"), folder / "tuned",
                     [](test::RawTensors& tensors) { tensors.begin()->second.data[0] ^= std::byte{1}; });
  ConvertOptions tuned = options(folder / "tuned", folder / "no");
  std::string said;
  tuned.warning = [&](std::string_view s) { said += s; };
  apply_recipe(recipe, tuned);
  EXPECT_THAT(said, HasSubstr("weights other than"));
  tuned.strict = true;
  tuned.allocation = {};
  error_text([&] { apply_recipe(recipe, tuned); }, ErrorCode::strict);
}

TEST(Preset, GivesTwoWidthsThatReadersKnow) {
  const TemporaryFolder folder;
  ConvertOptions o = options(tiny("distilbert"), folder / "out");
  o.layout = Layout::mlx_embeddings;
  o.scheme = {Mode::affine, 8, 32, Dtype::f16};
  apply_preset("mixed_3_6", o);
  convert(o);
  std::map<int, int> widths;
  for (const PlannedTensor& t : plan_conversion(o).tensors)
    if (t.scheme.mode == Mode::affine) ++widths[t.scheme.bits];
  EXPECT_EQ(widths.size(), 2u);
  EXPECT_GT(widths[3], 0);
  EXPECT_GT(widths[6], 0);
  for (const ReaderVerdict& reader : inspect_model(o.output).readers)
    if (reader.reader == "mlx-embeddings") {
      EXPECT_TRUE(reader.loads) << reader.why.at(0);
    }
  EXPECT_THAT(error_text([&] { apply_preset("mixed_5_7", o); }, ErrorCode::usage),
              HasSubstr("use one of mixed_2_6, mixed_3_4"));
}

}  // namespace
}  // namespace mlxe::allocate_test
