// Moments of linears that share weights, on a model made by hand: two layers, each used twice.
#include "calibrate/later_uses.h"

#include <gmock/gmock.h>

#include <cmath>
#include <deque>
#include <utility>

#include "base/thread_pool.h"
#include "calibrate/calibration_ops.h"
#include "model_folders.h"
#include "models/plan_builder.h"
#include "models/run_plan.h"

namespace mlxe::calibrate::later_uses_test {
namespace {

constexpr int64_t kWords = 50, kColumns = 32, kTexts = 30, kLength = 20, kTokens = kTexts * kLength;

// x = norm(mix(x)), then x = norm(sum(x) + x), twice. The outputs of `mix` are its Target::inputs, those of `sum` are
// added to a value: Target::outputs.
Plan two_uses() {
  PlanBuilder p;
  ValueId x = p.lookup(std::array{std::pair(p.table("words", kWords, kColumns), RowIndex::ids)});
  x = p.layer_norm("norm", x, 1e-5f);
  p.end_layer(x);
  for (int use = 0; use < 2; ++use) {
    x = p.layer_norm("mix_norm", p.linear("mix", x, kColumns), 1e-5f);
    p.end_layer(x);
    x = p.layer_norm("sum_norm", p.add("sum", p.linear("sum", x, kColumns), x), 1e-5f);
    p.end_layer(x);
  }
  Plan plan = p.finish();
  for (size_t i = 0; i < plan.parameters.size(); ++i) plan.parameters[i].handle = static_cast<WeightId>(i);
  return plan;
}

using Values = std::vector<std::vector<float>>;  // by parameter

Values random_values(const Plan& plan) {
  Values values;
  for (const Parameter& p : plan.parameters) {
    values.push_back(test::random_weights(static_cast<size_t>(element_count(p.shape)),
                                          static_cast<unsigned>(values.size()) + 1, 0.2));
    if (p.role == Role::norm && p.name.ends_with("weight"))
      for (float& v : values.back()) v += 1;
  }
  return values;
}

std::deque<cpu::Weight> weights_of(const Plan& plan, const Values& values) {
  std::deque<cpu::Weight> weights;
  for (size_t i = 0; i < values.size(); ++i)
    weights.emplace_back(StoredWeight{.name = plan.parameters[i].name,
                                      .shape = plan.parameters[i].shape,
                                      .dtype = Dtype::f32,
                                      .codes = std::as_bytes(std::span(values[i]))});
  return weights;
}

Batch random_texts() {
  std::mt19937 random(3);
  Batch batch;
  for (int64_t text = 0; text < kTexts; ++text) {
    std::vector<int32_t> ids(kLength);
    for (int32_t& id : ids) id = static_cast<int32_t>(random() % kWords);
    batch.append(ids);
  }
  return batch;
}

// The values after the embeddings and after each layer.
std::vector<Matrix> layers_of(const Plan& plan, const std::deque<cpu::Weight>& weights, const Batch& batch) {
  cpu::Workspace workspace;
  cpu::CpuOps ops(weights, workspace, nullptr, {});
  std::vector<Matrix> layers;
  run_plan(ops, plan, plan.whole, batch, {Output::layers},
           [&](Output, const cpu::Tensor& x) { layers.push_back(ops.to_host(x)); });
  return layers;
}

// Takes the moments of the later uses into those of the first, as a calibration does.
class FirstUse : public Fitter {
 public:
  explicit FirstUse(GroupMoments later) : later_(std::move(later)) {}
  std::map<WeightId, Moments> found;

 private:
  void tables(std::span<const Lookup>, const LayerNorm*) override {}
  std::vector<ChannelAffine> norm(const LayerNorm&, const ChannelFit&) override { return {}; }
  void stored() override {}
  std::unique_ptr<MomentSums> moments(std::span<const Linear> linears, int64_t outputs) override {
    const auto later = later_.find({linears, outputs});
    return later == later_.end() ? nullptr : std::move(later->second);
  }
  void round_linears(std::span<const Linear> linears, std::unique_ptr<MomentSums> sums) override {
    found[linears[0].weight] = sums->finish();
  }

  GroupMoments later_;
};

// The inputs and targets of one use.
struct Use {
  const Matrix* x;
  Matrix d;
};

struct Expected {
  std::vector<double> mean = std::vector<double>(kColumns), target_mean = mean;
  std::vector<double> covariance = std::vector<double>(kColumns * kColumns), cross = covariance;
};

// A plain loop over all rows of the uses.
Expected expected(const std::vector<Use>& uses) {
  Expected e;
  const auto each = [&](auto&& visit) {
    for (const Use& use : uses)
      for (size_t t = 0; t < kTokens; ++t)
        visit(use.x->values.data() + t * kColumns, use.d.values.data() + t * kColumns);
  };
  const double rows = static_cast<double>(kTokens) * static_cast<double>(uses.size());
  each([&](const float* x, const float* d) {
    for (size_t c = 0; c < kColumns; ++c) {
      e.mean[c] += static_cast<double>(x[c]) / rows;
      e.target_mean[c] += static_cast<double>(d[c]) / rows;
    }
  });
  each([&](const float* x, const float* d) {
    for (size_t a = 0; a < kColumns; ++a)
      for (size_t b = 0; b < kColumns; ++b) {
        const double xb = static_cast<double>(x[b]) - e.mean[b];
        e.covariance[a * kColumns + b] += (static_cast<double>(x[a]) - e.mean[a]) * xb / rows;
        e.cross[a * kColumns + b] += (static_cast<double>(d[a]) - e.target_mean[a]) * xb / rows;
      }
  });
  return e;
}

double distance(const std::vector<float>& found, const std::vector<double>& wanted) {
  double error = 0, size = 0;
  for (size_t i = 0; i < wanted.size(); ++i) {
    error += std::pow(static_cast<double>(found[i]) - wanted[i], 2);
    size += std::pow(wanted[i], 2);
  }
  return std::sqrt(error / size);
}

TEST(LaterUses, AddUpWithTheFirst) {
  const Plan plan = two_uses();
  const auto id = [&](const char* name) {
    return static_cast<WeightId>(std::ranges::find(plan.parameters, name, &Parameter::name) -
                                 plan.parameters.begin());
  };
  const std::set<WeightId> shared = shared_weights(plan);
  EXPECT_THAT(shared, testing::ElementsAre(id("mix.weight"), id("mix_norm.weight"), id("sum.weight"),
                                           id("sum_norm.weight")));
  const Values values = random_values(plan);
  Values other = values;  // a rounded table
  for (size_t i = 0; i < other[0].size(); ++i) other[0][i] += i % 3 == 0 ? 0.1f : -0.05f;
  const std::deque<cpu::Weight> original = weights_of(plan, values), changed = weights_of(plan, other);
  const Batch batch = random_texts();
  const std::vector<Matrix> x0 = layers_of(plan, original, batch), x = layers_of(plan, changed, batch);
  ASSERT_EQ(x0.size(), 5U);

  const test::TemporaryFolder scratch;
  ThreadPool pool(2);
  FirstUse fitter(moments_of_later_uses(plan, shared, original, batch, scratch.path(), pool));
  CalibrationOps ops(original, changed, batch, scratch.path(), pool, fitter);
  run_plan(ops, plan, plan.whole, batch, {Output::hidden}, [](Output, const auto&) {});
  ASSERT_EQ(fitter.found.size(), 2U);

  const auto difference = [](Matrix a, const Matrix& b) {
    for (size_t i = 0; i < a.values.size(); ++i) a.values[i] -= b.values[i];
    return a;
  };
  // The outputs of `sum` for which the sum is the original's: W x0 + b + x0 - x.
  const auto wanted = [&](const Matrix& in0, const Matrix& in) {
    Matrix d = difference(in0, in);
    const std::vector<float>&w = values[static_cast<size_t>(id("sum.weight"))],
          &b = values[static_cast<size_t>(id("sum.bias"))];
    for (size_t t = 0; t < kTokens; ++t)
      for (size_t r = 0; r < kColumns; ++r) {
        float& v = d.values[t * kColumns + r];
        v += b[r];
        for (size_t c = 0; c < kColumns; ++c) v += w[r * kColumns + c] * in0.values[t * kColumns + c];
      }
    return d;
  };
  const Use mix_first{&x[0], difference(x0[0], x[0])}, mix_later{&x0[2], difference(x0[2], x0[2])};
  const Use sum_first{&x[1], wanted(x0[1], x[1])}, sum_later{&x0[3], wanted(x0[3], x0[3])};
  // Factors of products are rounded to bfloat16: 2^-9 of each, averaged over 1,200 tokens, as in calibrate_test.cpp.
  constexpr double kTolerance = 2e-3;
  for (const auto& [name, first, later] :
       {std::tuple{"mix.weight", &mix_first, &mix_later}, {"sum.weight", &sum_first, &sum_later}}) {
    SCOPED_TRACE(name);
    const Moments& m = fitter.found.at(id(name));
    EXPECT_EQ(m.tokens, 2 * kTokens);
    const Expected both = expected({*first, *later}), alone = expected({*first});
    EXPECT_LT(distance(m.covariance, both.covariance), kTolerance);
    EXPECT_LT(distance(m.cross, both.cross), kTolerance);
    for (size_t c = 0; c < kColumns;
         ++c) {  // activations are stored in steps of 2^-16 of a row's largest value
      EXPECT_NEAR(m.mean[c], both.mean[c], 1e-4);
      EXPECT_NEAR(m.target_mean[c], both.target_mean[c], 1e-4);
    }
    // The twin: the first use alone.
    EXPECT_GT(distance(m.covariance, alone.covariance), 10 * kTolerance);
    EXPECT_GT(distance(m.cross, alone.cross), 10 * kTolerance);
  }
}

TEST(LaterUses, AreNoneOfAMatrixThatIsNotWanted) {
  const Plan plan = two_uses();
  const Values values = random_values(plan);
  const std::deque<cpu::Weight> original = weights_of(plan, values);
  const test::TemporaryFolder scratch;
  ThreadPool pool(1);
  const WeightId sum = plan.at(plan.whole.ops[4].modules[0]).weight;
  ASSERT_EQ(plan.parameter(sum).name, "sum.weight");
  const GroupMoments found =
      moments_of_later_uses(plan, {sum}, original, random_texts(), scratch.path(), pool);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_THAT(found.begin()->first.weights, testing::ElementsAre(sum));
}

}  // namespace
}  // namespace mlxe::calibrate::later_uses_test
