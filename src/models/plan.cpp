#include "models/plan.h"

#include <algorithm>
#include <array>
#include <utility>

namespace mlxe {
namespace {

// Which of a value's rows are read.
constexpr int kFirst = 1, kAll = 2;

size_t at(ValueId id) {
  return static_cast<size_t>(id);
}

// Whether each text's first token alone is read of the operation's i-th input, whatever is read of its output.
bool reads_first_alone(const PlanOp& op) {
  return op.kind == OpKind::take_first || (op.kind == OpKind::pool && op.pooling == PoolingKind::cls);
}

bool reads_all(const PlanOp& op, size_t i) {
  return op.kind == OpKind::pool || op.kind == OpKind::term_weights || op.kind == OpKind::take_end ||
         op.kind == OpKind::take_last || op.kind == OpKind::take_chosen || op.kind == OpKind::convolution ||
         (op.kind == OpKind::attention && i > 0);
}

class Narrowing {
 public:
  explicit Narrowing(const PlanGraph& whole)
      : whole_(whole),
        read_(whole.values.size()),
        all_(whole.values.size(), kNoValue),
        first_(whole.values.size(), kNoValue) {
    find_reads();
  }

  PlanGraph run() {
    size_t layer = 0;
    for (size_t i = 0; i < whole_.ops.size(); ++i) {
      if (layer < whole_.layers.size() && whole_.layers[layer].first_op == i) {
        narrowed_.layers.push_back({.first_op = narrowed_.ops.size()});
        ++layer;
      }
      if (i == whole_.first_head) end_encoder();
      add(whole_.ops[i]);
    }
    if (whole_.first_head == whole_.ops.size()) end_encoder();
    for (const Output o : outputs_) narrowed_.outputs[index_of(o)] = all_[at(whole_.output(o))];
    find_readers(narrowed_);
    return std::move(narrowed_);
  }

 private:
  // What is read of each value for the output at the end.
  std::vector<int> reads_of(ValueId output, int rows) const {
    std::vector<int> read(whole_.values.size());
    read[at(output)] = rows;
    for (auto op = whole_.ops.rbegin(); op != whole_.ops.rend(); ++op)
      for (const ValueId made : op->outputs) {
        if (op->kind == OpKind::convolution && read[at(made)] != 0) read[at(made)] |= kAll;
        for (size_t i = 0; i < op->inputs.size(); ++i)
          if (read[at(made)] != 0)
            read[at(op->inputs[i])] |= reads_first_alone(*op) ? kFirst
                                       : reads_all(*op, i)    ? kAll
                                                              : read[at(made)];
      }
    return read;
  }

  void find_reads() {
    read_ = reads_of(whole_.result(), kFirst);
    for (const OutputEntry& o : kOutputTable) {
      const ValueId output = whole_.output(o.output);
      if (output == kNoValue) continue;
      const std::vector<int> read = reads_of(output, kAll);
      if ((read[at(whole_.result())] & kAll) != 0) continue;
      outputs_.push_back(o.output);
      for (size_t i = 0; i < read.size(); ++i) read_[i] |= read[i];
    }
  }

  void end_encoder() {
    for (size_t i = 0; i < whole_.layers.size(); ++i) {
      const ValueId output = whole_.layers[i].output;
      narrowed_.layers[i].output = all_[at(output)] != kNoValue ? all_[at(output)] : first_[at(output)];
    }
    narrowed_.layers.back().output = first(whole_.result());
    narrowed_.first_head = narrowed_.ops.size();
  }

  // Appends outputs of which only first tokens are read, then the others.
  void add(const PlanOp& op) {
    if (reads_first_alone(op)) {
      if (read_[at(op.outputs[0])] != 0) all_[at(op.outputs[0])] = first(op.inputs[0]);
      return;
    }
    for (const int rows : {kFirst, kAll}) {
      PlanOp part = op;
      part.outputs.clear();
      if (op.kind == OpKind::multi_linear) part.modules.clear(), part.ranges.clear();
      for (size_t i = 0; i < op.outputs.size(); ++i) {
        const int read = read_[at(op.outputs[i])];
        if (read == 0 || (rows == kAll) != ((read & kAll) != 0)) continue;
        part.outputs.push_back(op.outputs[i]);
        if (op.kind != OpKind::multi_linear) continue;
        part.modules.push_back(op.modules[i]);
        if (!op.ranges.empty()) part.ranges.push_back(op.ranges[i]);
      }
      if (!part.outputs.empty()) emit(std::move(part), rows);
    }
  }

  void emit(PlanOp op, int rows) {
    for (size_t i = 0; i < op.inputs.size(); ++i)
      op.inputs[i] = rows == kFirst && !reads_all(op, i) ? first(op.inputs[i]) : all_[at(op.inputs[i])];
    for (ValueId& output : op.outputs) {
      ValueId& made = rows == kAll ? all_[at(output)] : first_[at(output)];
      made = value(output, rows);
      output = made;
    }
    narrowed_.ops.push_back(std::move(op));
  }

  ValueId value(ValueId of, int rows) {
    narrowed_.values.push_back(whole_.values[at(of)]);
    if (rows == kFirst) narrowed_.values.back().rows = RowKind::texts;
    return static_cast<ValueId>(narrowed_.values.size()) - 1;
  }

  // The first tokens' rows of a value; taken from all rows where those are made.
  ValueId first(ValueId of) {
    if (first_[at(of)] == kNoValue) {
      first_[at(of)] = value(of, kFirst);
      narrowed_.ops.push_back(
          {.kind = OpKind::take_first, .inputs = {all_[at(of)]}, .outputs = {first_[at(of)]}});
    }
    return first_[at(of)];
  }

  const PlanGraph& whole_;
  std::vector<Output> outputs_;       // that read no other token than the first after the last layer
  std::vector<int> read_;             // kFirst, kAll or both, of each value
  std::vector<ValueId> all_, first_;  // what a value has become
  PlanGraph narrowed_;
};

}  // namespace

const char* name(OpKind kind) noexcept {
  switch (kind) {
    case OpKind::lookup:
      return "lookup";
    case OpKind::all_rows:
      return "rows";
    case OpKind::multi_linear:
      return "linear";
    case OpKind::attention:
      return "attention";
    case OpKind::layer_norm:
      return "layer norm";
    case OpKind::add_layer_norm:
      return "add, layer norm";
    case OpKind::feed_forward:
      return "feed forward";
    case OpKind::convolution:
      return "convolution";
    case OpKind::add:
      return "add";
    case OpKind::subtract:
      return "subtract";
    case OpKind::multiply:
      return "multiply";
    case OpKind::add_bias:
      return "add bias";
    case OpKind::columns:
      return "columns";
    case OpKind::weighted_rows:
      return "weighted rows";
    case OpKind::take_first:
      return "first tokens";
    case OpKind::take_end:
      return "end tokens";
    case OpKind::take_last:
      return "last tokens";
    case OpKind::take_chosen:
      return "chosen tokens";
    case OpKind::pool:
      return "pool";
    case OpKind::term_weights:
      return "term weights";
    case OpKind::activation:
      return "activation";
    case OpKind::concatenate:
      return "concatenate";
    case OpKind::normalize:
      return "normalize";
  }
  return "";
}

const char* name(RowKind kind) noexcept {
  constexpr std::array kNames{"tokens", "texts", "chosen", "table"};
  return kNames[static_cast<size_t>(kind)];
}

const char* name(PoolingKind kind) noexcept {
  constexpr std::array kNames{"cls", "max", "mean", "mean_sqrt_len", "weighted mean", "last token"};
  return kNames[static_cast<size_t>(kind)];
}

const char* name(TermPooling pooling) noexcept {
  return pooling == TermPooling::max ? "max" : "sum";
}

std::set<ParameterId> shared_weights(const Plan& plan) {
  std::set<ParameterId> read, shared;
  for (const PlanOp& op : std::span(plan.whole.ops).first(plan.whole.first_head)) {
    if (plan.whole.is_table(op)) continue;
    std::set<ParameterId> of_op;
    for (const int m : op.modules)
      if (!std::holds_alternative<Embedding>(plan.at(m).weights)) of_op.insert(plan.at(m).weight);
    for (const ParameterId weight : of_op)
      if (!read.insert(weight).second) shared.insert(weight);
  }
  return shared;
}

double linear_operations(const Plan& plan, const PlanGraph& graph, double tokens, double texts) {
  double sum = 0;
  for (const PlanOp& op : std::span(graph.ops).first(graph.first_head)) {
    if (graph.is_table(op)) continue;
    if (op.kind == OpKind::convolution) {
      const Convolution c = plan.convolution(op.modules[0]);
      sum += 2 * tokens * static_cast<double>(c.channels) * static_cast<double>(c.channels / c.groups) *
             static_cast<double>(c.kernel);
    }
    if (op.kind != OpKind::multi_linear && op.kind != OpKind::feed_forward) continue;
    const PlanValue& out = graph.values[static_cast<size_t>(op.outputs[0])];
    const double rows = out.rows == RowKind::tokens ? tokens : texts;
    for (size_t i = 0; i < op.modules.size(); ++i) {
      const Linear l = plan.linear(op, i);
      sum += 2 * rows * static_cast<double>(l.in) * static_cast<double>(l.out);
    }
  }
  return sum;
}

PlanGraph narrow_to_first_tokens(const PlanGraph& whole) {
  return Narrowing(whole).run();
}

void find_readers(PlanGraph& graph) {
  std::vector<bool> read(graph.values.size());
  for (const PlanOp& op : graph.ops)
    for (const ValueId id : op.inputs)
      if (!graph.is_table(op)) read[at(id)] = true;
  graph.tables.clear();
  for (const PlanOp& op : graph.ops)
    for (const ValueId id : op.outputs)
      if (graph.is_table(op) && read[at(id)]) graph.tables.push_back(id);
  graph.last_reader.assign(graph.values.size(), 0);
  for (size_t i = 0; i < graph.ops.size(); ++i) {
    for (const ValueId id : graph.ops[i].inputs) graph.last_reader[at(id)] = i;
    for (const ValueId id : graph.ops[i].outputs) graph.last_reader[at(id)] = i;
  }
  std::vector<Outputs> wanted(graph.values.size());
  const auto want = [&](ValueId value, Output by) {
    wanted[at(value)].add(by);
    graph.last_reader[at(value)] = graph.ops.size();
  };
  for (const PlanLayer& layer : graph.layers)
    if (layer.output != kNoValue) wanted[at(layer.output)].add(Output::layers);
  graph.last_reader[at(graph.result())] = graph.ops.size();
  for (const OutputEntry& o : kOutputTable)
    if (const ValueId value = graph.output(o.output); value != kNoValue) want(value, o.output);
  for (auto op = graph.ops.rbegin(); op != graph.ops.rend(); ++op) {
    op->wanted_by = {};
    for (const ValueId id : op->outputs) op->wanted_by.add(wanted[at(id)]);
    for (const ValueId id : op->inputs) wanted[at(id)].add(op->wanted_by);
  }
}

}  // namespace mlxe
