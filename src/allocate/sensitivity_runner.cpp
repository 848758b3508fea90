#include "allocate/sensitivity_runner.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "encoder/text_batches.h"
#include "mlx_encoder/error.h"
#include "models/forward.h"
#include "quant/matrix.h"

namespace mlxe::allocate {
namespace {

cpu::Weight float_weight(const std::string& name, const Shape& shape, const std::vector<float>& values) {
  return cpu::Weight({.name = name,
                      .scheme = {},
                      .shape = shape,
                      .dtype = Dtype::f32,
                      .codes = std::as_bytes(std::span(values))});
}

}  // namespace

SensitivityRunner::SensitivityRunner(const TextRunner& original, Output output,
                                     const std::vector<Sequence>& sequences)
    : output_(output),
      pool_(*original.pool()),
      model_(original.model()),
      tensors_(trace(original.model(), output)) {
  bind(original);
  cut(sequences);
  for (int i = 0; i < pool_.threads(); ++i) workspaces_.push_back(std::make_unique<cpu::Workspace>());
  pool_.parallel_for(static_cast<int64_t>(chunks_.size()), [&](int64_t i, int slot) {
    Chunk& chunk = chunks_[static_cast<size_t>(i)];
    RunResult result;
    result[output_] = run(chunk, 0, slot, LayerInputs::store);
    check_finite(chunk.request, result);
    chunk.output = std::move(result[output_]);
  });
}

void SensitivityRunner::bind(const TextRunner& original) {
  for (Parameter& p : model_.plan.parameters) {
    handles_[p.name] = p.handle = static_cast<WeightId>(weights_.size());
    weights_.emplace_back(stored_weight(original.checkpoint(), original.sentence(), p));
  }
}

void SensitivityRunner::cut(const std::vector<Sequence>& sequences) {
  for (const TextBatch& batch : batches_by_length(lengths_of(sequences), kPartTokens)) {
    chunks_.push_back({.request = {.wanted = {output_}}});
    for (const size_t i : batch) append(chunks_.back().request, sequences[i], Side::original);
  }
}

Matrix SensitivityRunner::run(Chunk& chunk, int stage, int slot, LayerInputs inputs) {
  cpu::Workspace& workspace = *workspaces_[static_cast<size_t>(slot)];
  cpu::CpuOps ops(weights_, workspace, nullptr, {});
  const Batch& batch = chunk.request.batch;
  const Plan& plan = model_.plan;
  const PlanGraph& graph = graph_for(plan, chunk.request);
  const auto kept = [&](size_t layer) {
    const Matrix& output = chunk.inputs[layer];
    cpu::Tensor x = workspace.arena.tensor(output.rows, output.columns);
    for (int64_t r = 0; r < output.rows; ++r)
      std::copy_n(output.values.data() + r * output.columns, output.columns, x.row(r));
    return x;
  };
  PlanStart<cpu::CpuOps> start{.layer = static_cast<size_t>(stage)};
  if (stage > 0) start.input = kept(start.layer - 1);
  for (const size_t layer : earlier_layers(graph, start.layer))
    start.earlier.emplace_back(layer, kept(layer));
  Outputs wanted = chunk.request.wanted;
  if (inputs == LayerInputs::store) wanted.add(Output::layers);
  Matrix result;
  run_plan(
      ops, plan, graph, batch, wanted,
      [&](Output output, const cpu::Tensor& x) {
        if (output == Output::layers)
          chunk.inputs.push_back(ops.to_host(x));
        else
          result = ops.to_host(x);
      },
      std::move(start));
  return result;
}

std::vector<float> SensitivityRunner::original_values(const TensorUse& tensor) const {
  const cpu::Weight& w = weights_[static_cast<size_t>(handles_.at(tensor.name))];
  std::vector<float> values(static_cast<size_t>(w.rows() * w.columns()));
  pool_.parallel_for(w.rows(),
                     [&](int64_t r, int) { w.decode(r, 0, w.columns(), values.data() + r * w.columns()); });
  return values;
}

SensitivityRunner::Rounded SensitivityRunner::round(const TensorUse& tensor, const Scheme& scheme) const {
  const std::vector<float> values = original_values(tensor);
  const int64_t rows = tensor.shape[0], columns = tensor.shape[1];
  try {
    const QuantizedMatrix m =
        quantize(std::as_bytes(std::span(values)), Dtype::f32, rows, columns, scheme, pool_);
    Rounded rounded{.values = std::vector<float>(values.size())};
    constexpr int64_t kRows = 64;
    pool_.parallel_for((rows + kRows - 1) / kRows, [&](int64_t block, int) {
      const int64_t first = block * kRows, count = std::min(kRows, rows - first);
      dequantize_rows(
          view(m), m.scheme, rows, columns, first, count,
          std::span(rounded.values)
              .subspan(static_cast<size_t>(first * columns), static_cast<size_t>(count * columns)));
    });
    double sum = 0;
    for (size_t i = 0; i < values.size(); ++i) {
      const double e = static_cast<double>(values[i]) - static_cast<double>(rounded.values[i]);
      sum += e * e;
    }
    rounded.mean_squared_error = sum / static_cast<double>(values.size());
    return rounded;
  } catch (const Error& e) {
    if (e.code() != ErrorCode::numeric) throw;
    throw Error(ErrorCode::numeric, fmt::format("{}: {}", tensor.name, e.what()));
  }
}

OutputCost SensitivityRunner::cost(const std::map<std::string, std::vector<float>>& changed) {
  int stage = stages();
  std::vector<std::pair<WeightId, cpu::Weight>> originals;
  for (const TensorUse& t : tensors_)
    if (const auto it = changed.find(t.name); it != changed.end()) {
      cpu::Weight& w = weights_[static_cast<size_t>(handles_.at(t.name))];
      originals.emplace_back(handles_.at(t.name),
                             std::exchange(w, float_weight(t.name, t.shape, it->second)));
      stage = std::min(stage, t.stage);
    }
  const auto restore = [&] {
    for (auto& [id, weight] : originals) weights_[static_cast<size_t>(id)] = std::move(weight);
  };
  std::vector<CostMeter> meters(chunks_.size(), CostMeter(output_, model_.problem_type));
  try {
    pool_.parallel_for(static_cast<int64_t>(chunks_.size()), [&](int64_t i, int slot) {
      Chunk& chunk = chunks_[static_cast<size_t>(i)];
      // Nothing changed: the outputs are the same.
      const Matrix output = stage == stages() ? chunk.output : run(chunk, stage, slot, LayerInputs::pass);
      meters[static_cast<size_t>(i)].add(chunk.output, output);
    });
  } catch (...) {
    restore();
    throw;
  }
  restore();
  for (size_t i = 1; i < meters.size(); ++i) meters[0].add(meters[i]);
  return meters.at(0).result();
}

}  // namespace mlxe::allocate
