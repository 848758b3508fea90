// A plan with random weights on the cpu engine's ops, run from any layer on, as sensitivity runs a model.
#pragma once

#include <deque>
#include <utility>
#include <vector>

#include "engine_cpu/ops.h"
#include "models/random_model.h"
#include "models/run_plan.h"

namespace mlxe::test {

class RunsFromLayer {
 public:
  explicit RunsFromLayer(Plan plan) : model_{.model_type = "tiny", .plan = std::move(plan)} {
    fill(model_, [&](const Parameter& spec) {
      weights_.emplace_back(random_.store(spec));
      return static_cast<WeightId>(weights_.size()) - 1;
    });
  }

  // The encoder's result.
  Matrix run(const Batch& batch, PlanStart<cpu::CpuOps> start = {}) {
    Matrix hidden;
    run_plan(
        ops_, model_.plan, model_.plan.whole, batch, {Output::hidden, Output::layers},
        [&](Output output, const cpu::Tensor& x) {
          if (output == Output::hidden) hidden = ops_.to_host(x);
          if (output == Output::layers) layers_.push_back(x);
        },
        std::move(start));
    return hidden;
  }
  std::vector<cpu::Tensor> tables() { return run_tables(ops_, model_.plan, model_.plan.whole); }

  // Of the layers that ran so far, in order.
  const std::vector<cpu::Tensor>& layers() const { return layers_; }

 private:
  Model model_;
  RandomWeights random_{{.dtype = Dtype::f32}};
  std::deque<cpu::Weight> weights_;
  cpu::Workspace workspace_;
  cpu::CpuOps ops_{weights_, workspace_, nullptr, {}};
  std::vector<cpu::Tensor> layers_;  // in the workspace's memory
};

}  // namespace mlxe::test
