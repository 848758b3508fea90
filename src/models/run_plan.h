// Runs a plan on an engine's ops.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "mlx_encoder/error.h"
#include "models/plan.h"

namespace mlxe {

// The row of each token in a table that is looked up by `by`.
inline std::vector<int32_t> rows_of(const Batch& batch, RowIndex by, int32_t padding_id) {
  if (by == RowIndex::positions) return batch.positions();
  if (by == RowIndex::next_ids || by == RowIndex::previous_ids) {
    const int32_t step = by == RowIndex::next_ids ? 1 : -1;
    std::vector<int32_t> rows(batch.ids.size(), kNoRow);
    for (int64_t b = 0; b < batch.texts(); ++b)
      for (int32_t t = batch.offsets[b]; t < batch.offsets[b + 1]; ++t)
        if (t + step >= batch.offsets[b] && t + step < batch.offsets[b + 1]) rows[t] = batch.ids[t + step];
    return rows;
  }
  // transformers' create_position_ids_from_input_ids: counts tokens that are not the padding id, so a literal
  // "<pad>" in a text gets the padding position itself.
  std::vector<int32_t> positions(batch.ids.size());
  for (int64_t b = 0; b < batch.texts(); ++b) {
    int32_t seen = 0;
    for (int32_t t = batch.offsets[b]; t < batch.offsets[b + 1]; ++t)
      positions[t] = batch.ids[t] == padding_id ? padding_id : ++seen + padding_id;
  }
  return positions;
}

// Where a run begins: before layer `layer` (0: the embeddings), whose input, the output of the layer before, is given.
template <EncoderOps E>
struct PlanStart {
  size_t layer = 0;
  std::optional<typename E::Tensor> input = {};
};

// Runs what the wanted outputs depend on. visit(output, value) is called after the embeddings and after each layer, if
// those are wanted, then for each other wanted output. A value is dropped after its last reader.
template <EncoderOps E, class Visit>
void run_plan(E& e, const Plan& plan, const PlanGraph& graph, const Batch& batch, Outputs wanted, Visit visit,
              PlanStart<E> start = {}) {
  using Tensor = typename E::Tensor;
  std::vector<std::optional<Tensor>> values(graph.values.size());
  std::vector<std::vector<int32_t>> made_rows;  // an engine may read them until the run ends
  const auto value = [&](ValueId id) -> const Tensor& {
    const auto& found = values[static_cast<size_t>(id)];
    if (!found)
      throw Error(ErrorCode::internal,
                  "plan: " + graph.values[static_cast<size_t>(id)].name + " is read before it is made");
    return *found;
  };
  const auto lookup = [&](const PlanOp& op) {
    std::vector<Lookup> lookups;
    for (size_t i = 0; i < op.modules.size(); ++i) {
      std::span<const int32_t> rows;
      switch (op.rows[i]) {
        case RowIndex::ids:
          rows = batch.ids;
          break;
        case RowIndex::token_types:
          rows = batch.token_types;
          break;
        case RowIndex::next_ids:
        case RowIndex::previous_ids:
        case RowIndex::positions:
        case RowIndex::positions_after_padding:
          rows = made_rows.emplace_back(rows_of(batch, op.rows[i], plan.padding_id));
      }
      const bool gaps = op.rows[i] == RowIndex::next_ids || op.rows[i] == RowIndex::previous_ids;
      lookups.push_back({plan.table(op.modules[i]), rows, gaps});
    }
    return e.embed(lookups);
  };
  const auto attention_of = [&](const PlanOp& op) {
    AttentionSpec spec = op.attention;
    size_t next = 0;
    if (spec.relative_bias) spec.relative_bias->table = plan.table(op.modules[next++]);
    if (spec.norms) spec.norms = HeadNorms{plan.norm(op.modules[next]), plan.norm(op.modules[next + 1])};
    return spec;
  };
  const auto feed_forward_of = [&](const PlanOp& op) {
    FeedForward f{.up = plan.linear(op, 0), .activation = op.activation, .down = plan.linear(op, 1)};
    if (op.modules.size() > 2) f.gate = plan.linear(op, 2);
    return f;
  };
  const auto run = [&](const PlanOp& op) -> Tensor {
    const auto in = [&](size_t i) -> const Tensor& { return value(op.inputs[i]); };
    switch (op.kind) {
      case OpKind::lookup:
        return lookup(op);
      case OpKind::linears:
        return e.linear(in(0), plan.linear(op, 0));
      case OpKind::attention:
        return e.attention({in(0), in(1), in(2)}, attention_of(op), batch);
      case OpKind::layer_norm:
        return e.layer_norm(in(0), plan.norm(op.modules[0]));
      case OpKind::add_layer_norm:
        return e.add_layer_norm(in(0), in(1), plan.norm(op.modules[0]));
      case OpKind::feed_forward:
        return e.feed_forward(in(0), feed_forward_of(op));
      case OpKind::add:
        return e.add(in(0), in(1));
      case OpKind::multiply:
        return e.multiply(in(0), in(1));
      case OpKind::take_first:
        return e.take(in(0), batch.first_rows());
      case OpKind::pool:
        return e.pool(in(0), op.pooling, batch);
      case OpKind::activation:
        return e.activate(in(0), op.activation);
      case OpKind::concatenate: {
        std::vector<Tensor> parts;
        for (const ValueId id : op.inputs) parts.push_back(value(id));
        return e.concatenate(parts);
      }
      case OpKind::normalize:
        return e.normalize(in(0));
    }
    throw Error(ErrorCode::internal, "plan: an unknown operation");
  };
  std::vector<Linear> linears;
  const auto run_several = [&](const PlanOp& op) {
    linears.clear();
    for (size_t i = 0; i < op.modules.size(); ++i) linears.push_back(plan.linear(op, i));
    std::vector<Tensor> made = e.linears(value(op.inputs[0]), linears);
    for (size_t i = 0; i < made.size(); ++i) values[static_cast<size_t>(op.outputs[i])] = std::move(made[i]);
  };

  const auto run_range = [&](size_t first, size_t past) {
    for (size_t i = first; i < past; ++i) {
      const PlanOp& op = graph.ops[i];
      if (!op.wanted_by.contains_any(wanted)) continue;
      if (op.outputs.size() > 1)
        run_several(op);
      else
        values[static_cast<size_t>(op.outputs[0])] = run(op);
      for (const ValueId id : op.inputs)
        if (graph.last_reader[static_cast<size_t>(id)] == i) values[static_cast<size_t>(id)].reset();
    }
  };

  if (start.layer > 0)
    values[static_cast<size_t>(graph.layers[start.layer - 1].output)] = std::move(start.input);
  for (size_t layer = start.layer; layer < graph.layers.size(); ++layer) {
    run_range(graph.layers[layer].first_op, graph.layer_end(layer));
    if (wanted.contains(Output::layers)) visit(Output::layers, value(graph.layers[layer].output));
  }
  run_range(graph.first_head, graph.ops.size());
  for (const OutputEntry& o : kOutputTable) {
    if (o.output == Output::layers || !wanted.contains(o.output)) continue;
    if (graph.output(o.output) == kNoValue)
      throw Error(ErrorCode::internal, std::string("plan: the model has no output ") + o.name);
    visit(o.output, value(graph.output(o.output)));
  }
}

}  // namespace mlxe
