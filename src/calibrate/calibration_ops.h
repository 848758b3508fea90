// The op list of models/ops.h, run on the original and the changed weights side by side: a linear's matrix is
// rounded when the run comes to it.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "calibrate/moments.h"
#include "engine_cpu/ops.h"
#include "models/ops.h"

namespace mlxe::calibrate {

// Told the inputs of linears that share one, before they are computed. May change the weights.
using MeetLinears = std::function<void(std::span<const Linear> linears, Moments moments)>;

class CalibrationOps {
 public:
  struct Tensor {
    cpu::Tensor original, changed;
  };

  // Both hold the same weights under the same handles; `pool` may not be null.
  CalibrationOps(const std::deque<cpu::Weight>& original, const std::deque<cpu::Weight>& changed,
                 ThreadPool& pool, MeetLinears meet);

  Tensor embed(std::span<const Lookup> lookups);
  Tensor linear(const Tensor& x, const Linear& l);
  std::vector<Tensor> linears(const Tensor& x, std::span<const Linear> ls);
  Tensor attention(const std::vector<Tensor>& qkv, AttentionSpec spec, const Batch& batch);
  Tensor layer_norm(const Tensor& x, const LayerNorm& norm);
  Tensor add_layer_norm(const Tensor& a, const Tensor& b, const LayerNorm& norm);
  Tensor feed_forward(const Tensor& x, const Linear& up, Activation activation, const Linear& down);
  Tensor activate(const Tensor& x, Activation activation);
  Tensor take(const Tensor& x, std::span<const int32_t> rows);
  Tensor pool(const Tensor& x, PoolingKind kind, const Batch& batch);
  Tensor concatenate(const std::vector<Tensor>& parts);
  Tensor normalize(const Tensor& x);
  Matrix read(const Tensor& x) const;

 private:
  void meet(const Tensor& x, std::span<const Linear> ls);
  // f(ops, tensor) on either side.
  template <class F>
  Tensor both(F&& f) {
    return {f(original_, &Tensor::original), f(changed_, &Tensor::changed)};
  }

  ThreadPool& pool_;
  MeetLinears meet_;
  cpu::Workspace original_workspace_, changed_workspace_;
  cpu::CpuOps original_, changed_;
};

}  // namespace mlxe::calibrate
