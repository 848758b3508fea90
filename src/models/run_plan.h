// Runs a plan on an engine's ops.
#pragma once

#include <algorithm>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "mlx_encoder/error.h"
#include "models/plan.h"

namespace mlxe {

// Of each text, the id of the last token but padding: of the token at the index that is the number of other tokens less
// one, as transformers' shift_tokens_right of mBART finds it. A text of padding alone gives its first token.
inline int32_t last_id(const Batch& batch, int64_t text, int32_t padding_id) {
  const auto ids = std::span(batch.ids).subspan(static_cast<size_t>(batch.offsets[text]),
                                                static_cast<size_t>(batch.length(text)));
  const auto others =
      static_cast<size_t>(std::ranges::count_if(ids, [&](int32_t id) { return id != padding_id; }));
  return ids[others > 0 ? others - 1 : 0];
}

// The row of each token in a table that is looked up by `by`.
inline std::vector<int32_t> rows_of(const Batch& batch, RowIndex by, const Plan& plan) {
  const int32_t padding_id = plan.padding_id;
  if (by == RowIndex::positions) return batch.positions(plan.first_position);
  if (by == RowIndex::shifted_ids || by == RowIndex::wrapped_ids) {
    std::vector<int32_t> rows(batch.ids.size());
    for (int64_t b = 0; b < batch.texts(); ++b) {
      rows[batch.offsets[b]] = by == RowIndex::shifted_ids ? plan.start_id : last_id(batch, b, padding_id);
      std::copy(batch.ids.begin() + batch.offsets[b], batch.ids.begin() + batch.offsets[b + 1] - 1,
                rows.begin() + batch.offsets[b] + 1);
    }
    return rows;
  }
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

// The row of each text's last token with this id. `numbers`: of number_of(). Errors: usage (names a text without one).
inline std::vector<int32_t> end_rows(const Batch& batch, int32_t id, std::span<const size_t> numbers = {}) {
  std::vector<int32_t> rows;
  for (int64_t b = 0; b < batch.texts(); ++b) {
    int32_t t = batch.offsets[b + 1] - 1;
    while (t >= batch.offsets[b] && batch.ids[t] != id) --t;
    if (t < batch.offsets[b])
      throw Error(ErrorCode::usage, "text " + std::to_string(number_of(numbers, static_cast<size_t>(b))) +
                                        ": no end-of-sequence token (id " + std::to_string(id) +
                                        "), whose state the classifier reads; end the text's ids with it");
    rows.push_back(t);
  }
  return rows;
}

// The row of each text's last token but padding, or of its first if all are padding, as transformers'
// GenericForSequenceClassification finds it.
inline std::vector<int32_t> last_rows(const Batch& batch, int32_t padding_id) {
  std::vector<int32_t> rows;
  for (int64_t b = 0; b < batch.texts(); ++b) {
    int32_t t = batch.offsets[b + 1] - 1;
    while (t > batch.offsets[b] && batch.ids[t] == padding_id) --t;
    rows.push_back(t);
  }
  return rows;
}

// Where a run begins: before layer `layer` (0: the embeddings), whose input, the output of the layer before, is given.
template <EncoderOps E>
struct PlanStart {
  size_t layer = 0;
  std::optional<typename E::Tensor> input = {};
  std::vector<std::pair<size_t, typename E::Tensor>> earlier = {};  // outputs of earlier_layers(), by layer
  // Values of graph.tables from run_tables(). Null: the run computes those it reads.
  const std::vector<typename E::Tensor>* tables = nullptr;
  std::span<const size_t> numbers = {};  // of the texts, as in number_of()
};

// The layers before `layer` - 1 whose outputs are read from `layer` on: a decoder reads its encoder's.
inline std::vector<size_t> earlier_layers(const PlanGraph& graph, size_t layer) {
  std::vector<size_t> earlier;
  for (size_t i = 0; i + 1 < layer; ++i)
    if (graph.last_reader[static_cast<size_t>(graph.layers[i].output)] >= graph.layer_end(layer - 1))
      earlier.push_back(i);
  return earlier;
}

// The operations on tables before operation `past` that later operations read.
inline std::vector<size_t> tables_before(const PlanGraph& graph, size_t past) {
  std::vector<bool> read(graph.values.size());
  std::vector<size_t> ops;
  for (size_t i = past; i-- > 0;) {
    const PlanOp& op = graph.ops[i];
    const auto is_read = [&](ValueId id) {
      return read[static_cast<size_t>(id)] || graph.last_reader[static_cast<size_t>(id)] >= past;
    };
    if (!graph.is_table(op) || std::ranges::none_of(op.outputs, is_read)) continue;
    for (const ValueId id : op.inputs) read[static_cast<size_t>(id)] = true;
    ops.insert(ops.begin(), i);
  }
  return ops;
}

// The operations of a graph on an engine's ops, and their values.
template <EncoderOps E>
class PlanRun {
 public:
  using Tensor = typename E::Tensor;

  PlanRun(E& e, const Plan& plan, const PlanGraph& graph, const Batch& batch,
          std::span<const size_t> numbers = {})
      : e_(e), plan_(plan), graph_(graph), batch_(batch), numbers_(numbers), values_(graph.values.size()) {}

  const Tensor& value(ValueId id) const {
    const auto& found = values_[static_cast<size_t>(id)];
    if (!found)
      throw Error(ErrorCode::internal,
                  "plan: " + graph_.values[static_cast<size_t>(id)].name + " is read before it is made");
    return *found;
  }
  void set(ValueId id, Tensor value) { values_[static_cast<size_t>(id)] = std::move(value); }

  void run(const PlanOp& op) {
    if (op.outputs.size() > 1)
      run_several(op);
    else
      set(op.outputs[0], result_of(op));
  }
  // The values made so far that operations after `i` read.
  std::vector<Tensor> read_after(size_t i) const {
    std::vector<Tensor> found;
    for (size_t id = 0; id < values_.size(); ++id)
      if (values_[id] && graph_.last_reader[id] > i) found.push_back(*values_[id]);
    return found;
  }
  // Drops the values that operation `i` is the last to read.
  void drop_read(size_t i) {
    for (const ValueId id : graph_.ops[i].inputs)
      if (graph_.last_reader[static_cast<size_t>(id)] == i) values_[static_cast<size_t>(id)].reset();
  }

 private:
  Tensor result_of(const PlanOp& op) {
    const auto in = [&](size_t i) -> const Tensor& { return value(op.inputs[i]); };
    switch (op.kind) {
      case OpKind::lookup:
        return lookup(op);
      case OpKind::all_rows:
        return e_.all_rows(plan_.table(op.modules[0]));
      case OpKind::multi_linear:
        return e_.linear(in(0), plan_.linear(op, 0));
      case OpKind::attention:
        return e_.attention(inputs_of(op), attention_of(op), batch_);
      case OpKind::layer_norm:
        return e_.layer_norm(in(0), plan_.norm(op.modules[0]));
      case OpKind::add_layer_norm:
        return e_.add_layer_norm(in(0), in(1), plan_.norm(op.modules[0]));
      case OpKind::feed_forward:
        return e_.feed_forward(in(0), feed_forward_of(op));
      case OpKind::convolution:
        return e_.convolution(in(0), plan_.convolution(op.modules[0]), batch_);
      case OpKind::add:
        return e_.add(in(0), in(1));
      case OpKind::subtract:
        return e_.subtract(in(0), in(1));
      case OpKind::multiply:
        return e_.multiply(in(0), in(1));
      case OpKind::add_bias:
        return e_.add_bias(in(0), plan_.row_bias(op.modules[0]));
      case OpKind::columns:
        return e_.columns(in(0), op.first_column, graph_.values[static_cast<size_t>(op.outputs[0])].columns);
      case OpKind::weighted_rows:
        return e_.weighted_rows(in(0), plan_.table(op.modules[0]));
      case OpKind::take_first:
        return e_.take(in(0), batch_.first_rows());
      case OpKind::take_end:
        return e_.take(in(0), made_rows_.emplace_back(end_rows(batch_, plan_.end_id, numbers_)));
      case OpKind::take_last:
        return e_.take(in(0), made_rows_.emplace_back(last_rows(batch_, plan_.padding_id)));
      case OpKind::take_chosen:
        return e_.take(in(0), batch_.chosen);
      case OpKind::pool:
        return e_.pool(in(0), op.pooling, batch_);
      case OpKind::term_weights:
        return e_.term_weights(in(0), plan_.linear(op, 0), op.terms, batch_);
      case OpKind::activation:
        return e_.activate(in(0), op.activation);
      case OpKind::concatenate:
        return e_.concatenate(inputs_of(op));
      case OpKind::normalize:
        return e_.normalize(in(0));
    }
    throw Error(ErrorCode::internal, "plan: an unknown operation");
  }

  void run_several(const PlanOp& op) {
    linears_.clear();
    for (size_t i = 0; i < op.modules.size(); ++i) linears_.push_back(plan_.linear(op, i));
    std::vector<Tensor> made = e_.multi_linear(value(op.inputs[0]), linears_);
    for (size_t i = 0; i < made.size(); ++i) set(op.outputs[i], std::move(made[i]));
  }

  Tensor lookup(const PlanOp& op) {
    std::vector<Lookup> lookups;
    for (size_t i = 0; i < op.modules.size(); ++i) {
      std::span<const int32_t> rows;
      switch (op.rows[i]) {
        case RowIndex::ids:
          rows = batch_.ids;
          break;
        case RowIndex::token_types:
          rows = batch_.token_types;
          break;
        case RowIndex::next_ids:
        case RowIndex::previous_ids:
        case RowIndex::shifted_ids:
        case RowIndex::wrapped_ids:
        case RowIndex::positions:
        case RowIndex::positions_after_padding:
          rows = made_rows_.emplace_back(rows_of(batch_, op.rows[i], plan_));
      }
      const bool gaps = op.rows[i] == RowIndex::next_ids || op.rows[i] == RowIndex::previous_ids;
      lookups.push_back({plan_.table(op.modules[i]), rows, gaps});
    }
    return e_.embed(lookups);
  }

  std::vector<Tensor> inputs_of(const PlanOp& op) const {
    std::vector<Tensor> inputs;
    for (const ValueId id : op.inputs) inputs.push_back(value(id));
    return inputs;
  }
  AttentionSpec attention_of(const PlanOp& op) const {
    AttentionSpec spec = op.attention;
    size_t next = 0;
    if (spec.relative_bias) spec.relative_bias->table = plan_.table(op.modules[next++]);
    if (spec.norms) spec.norms = HeadNorms{plan_.norm(op.modules[next]), plan_.norm(op.modules[next + 1])};
    return spec;
  }
  FeedForward feed_forward_of(const PlanOp& op) const {
    FeedForward f{.up = plan_.linear(op, 0), .activation = op.activation, .down = plan_.linear(op, 1)};
    if (op.modules.size() > 2) f.gate = plan_.linear(op, 2);
    return f;
  }

  E& e_;
  const Plan& plan_;
  const PlanGraph& graph_;
  const Batch& batch_;
  std::span<const size_t> numbers_;
  std::vector<std::optional<Tensor>> values_;
  std::vector<std::vector<int32_t>> made_rows_;  // an engine may read them until the run ends
  std::vector<Linear> linears_;
};

// Runs the operations on tables alone. Returns the values of graph.tables.
template <EncoderOps E>
std::vector<typename E::Tensor> run_tables(E& e, const Plan& plan, const PlanGraph& graph) {
  const Batch no_texts;
  PlanRun<E> run(e, plan, graph, no_texts);
  for (const PlanOp& op : graph.ops)
    if (graph.is_table(op)) run.run(op);
  std::vector<typename E::Tensor> tables;
  for (const ValueId id : graph.tables) tables.push_back(run.value(id));
  return tables;
}

// Runs what the wanted outputs depend on. visit(output, value) is called after the embeddings and after each layer, if
// those are wanted, then for each other wanted output. A value is dropped after its last reader.
template <EncoderOps E, class Visit>
void run_plan(E& e, const Plan& plan, const PlanGraph& graph, const Batch& batch, Outputs wanted, Visit visit,
              PlanStart<E> start = {}) {
  PlanRun<E> run(e, plan, graph, batch, start.numbers);
  const auto run_range = [&](size_t first, size_t past) {
    for (size_t i = first; i < past; ++i) {
      const PlanOp& op = graph.ops[i];
      if (!op.wanted_by.contains_any(wanted) || (start.tables != nullptr && graph.is_table(op))) continue;
      // Ops that overwrite earlier results are told which ones are read again.
      if constexpr (requires { e.keep(run.read_after(i)); }) e.keep(run.read_after(i));
      run.run(op);
      run.drop_read(i);
    }
  };

  if (start.layer > 0) run.set(graph.layers[start.layer - 1].output, std::move(*start.input));
  for (auto& [layer, output] : start.earlier) run.set(graph.layers[layer].output, std::move(output));
  if (start.tables != nullptr) {
    for (size_t i = 0; i < graph.tables.size(); ++i) run.set(graph.tables[i], (*start.tables)[i]);
  } else if (start.layer > 0) {
    for (const size_t op : tables_before(graph, graph.layer_end(start.layer - 1))) run.run(graph.ops[op]);
  }
  for (size_t layer = start.layer; layer < graph.layers.size(); ++layer) {
    run_range(graph.layers[layer].first_op, graph.layer_end(layer));
    if (wanted.contains(Output::layers)) visit(Output::layers, run.value(graph.layers[layer].output));
  }
  run_range(graph.first_head, graph.ops.size());
  for (const OutputEntry& o : kOutputTable) {
    if (o.output == Output::layers || !wanted.contains(o.output)) continue;
    if (graph.output(o.output) == kNoValue)
      throw Error(ErrorCode::internal, std::string("plan: the model has no output ") + o.name);
    visit(o.output, run.value(graph.output(o.output)));
  }
}

}  // namespace mlxe
