#include "models/plan.h"

#include <algorithm>
#include <utility>

#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

// Which of a value's rows are read.
constexpr int kFirst = 1, kAll = 2;

class Narrowing {
 public:
  explicit Narrowing(const PlanGraph& whole)
      : whole_(whole),
        read_(whole.values.size()),
        all_(whole.values.size(), kNone),
        first_(whole.values.size(), kNone) {
    find_reads();
  }

  PlanGraph run() {
    size_t layer = 0;
    for (size_t i = 0; i < whole_.ops.size(); ++i) {
      if (layer < whole_.layers.size() && whole_.layers[layer].first_op == i) {
        narrowed_.layers.push_back({.first_op = narrowed_.ops.size()});
        ++layer;
      }
      add(whole_.ops[i]);
    }
    for (size_t i = 0; i < whole_.layers.size(); ++i) {
      const ValueId output = whole_.layers[i].output;
      narrowed_.layers[i].output = all_[at(output)] != kNone ? all_[at(output)] : first_[at(output)];
    }
    narrowed_.layers.back().output = first(whole_.result());
    find_last_readers(narrowed_);
    return std::move(narrowed_);
  }

 private:
  static constexpr ValueId kNone = -1;
  static size_t at(ValueId id) { return static_cast<size_t>(id); }

  void find_reads() {
    read_[at(whole_.result())] = kFirst;
    for (auto op = whole_.ops.rbegin(); op != whole_.ops.rend(); ++op)
      for (const ValueId output : op->outputs)
        for (size_t i = 0; i < op->inputs.size(); ++i)
          read_[at(op->inputs[i])] |= op->kind == OpKind::attention && i > 0 ? kAll : read_[at(output)];
  }

  // Outputs of which first tokens alone are read, then the others.
  void add(const PlanOp& op) {
    for (const RowKind rows : {RowKind::first_tokens, RowKind::tokens}) {
      PlanOp part = op;
      part.outputs.clear();
      if (op.kind == OpKind::linears) part.modules.clear(), part.ranges.clear();
      for (size_t i = 0; i < op.outputs.size(); ++i) {
        const int read = read_[at(op.outputs[i])];
        if (read == 0 || (rows == RowKind::tokens) != ((read & kAll) != 0)) continue;
        part.outputs.push_back(op.outputs[i]);
        if (op.kind != OpKind::linears) continue;
        part.modules.push_back(op.modules[i]);
        if (!op.ranges.empty()) part.ranges.push_back(op.ranges[i]);
      }
      if (!part.outputs.empty()) emit(std::move(part), rows);
    }
  }

  void emit(PlanOp op, RowKind rows) {
    for (size_t i = 0; i < op.inputs.size(); ++i) {
      const bool narrow = rows == RowKind::first_tokens && !(op.kind == OpKind::attention && i > 0);
      op.inputs[i] = narrow ? first(op.inputs[i]) : all_[at(op.inputs[i])];
    }
    for (ValueId& output : op.outputs) {
      ValueId& made = rows == RowKind::tokens ? all_[at(output)] : first_[at(output)];
      made = value(output, rows);
      output = made;
    }
    narrowed_.ops.push_back(std::move(op));
  }

  ValueId value(ValueId of, RowKind rows) {
    narrowed_.values.push_back(whole_.values[at(of)]);
    narrowed_.values.back().rows = rows;
    return static_cast<ValueId>(narrowed_.values.size()) - 1;
  }

  // The first tokens' rows of a value; taken from all rows where those are made.
  ValueId first(ValueId of) {
    if (first_[at(of)] == kNone) {
      first_[at(of)] = value(of, RowKind::first_tokens);
      narrowed_.ops.push_back(
          {.kind = OpKind::take_first, .inputs = {all_[at(of)]}, .outputs = {first_[at(of)]}});
    }
    return first_[at(of)];
  }

  const PlanGraph& whole_;
  std::vector<int> read_;             // kFirst, kAll or both, of each value
  std::vector<ValueId> all_, first_;  // what a value has become
  PlanGraph narrowed_;
};

}  // namespace

const char* name(OpKind kind) noexcept {
  switch (kind) {
    case OpKind::lookup:
      return "lookup";
    case OpKind::linears:
      return "linear";
    case OpKind::attention:
      return "attention";
    case OpKind::layer_norm:
      return "layer norm";
    case OpKind::add_layer_norm:
      return "add, layer norm";
    case OpKind::feed_forward:
      return "feed forward";
    case OpKind::add:
      return "add";
    case OpKind::take_first:
      return "first tokens";
  }
  return "";
}

int Plan::add_module(const std::string& name, std::variant<Embedding, Linear, LayerNorm> weights, Role role,
                     Component component, std::optional<int64_t> layer) {
  const auto parameter = [&](const char* ending, Shape shape, Role its_role) {
    const std::string full = name + ending;
    const auto known = std::ranges::find(parameters, full, &Parameter::name);
    if (known == parameters.end())
      parameters.push_back({full, std::move(shape), its_role, component, layer});
    else if (known->shape != shape)
      throw Error(ErrorCode::internal,
                  "plan: " + full + " is " + to_string(known->shape) + ", now " + to_string(shape));
    else
      return static_cast<ParameterId>(known - parameters.begin());
    return static_cast<ParameterId>(parameters.size()) - 1;
  };
  PlanModule module{.name = name, .weights = std::move(weights)};
  if (const auto* table = std::get_if<Embedding>(&module.weights)) {
    module.weight = parameter(".weight", {table->rows, table->columns}, role);
  } else if (const auto* linear = std::get_if<Linear>(&module.weights)) {
    module.weight = parameter(".weight", {linear->rows(), linear->in}, role);
    if (linear->has_bias == Bias::yes) module.bias = parameter(".bias", {linear->rows()}, Role::bias);
  } else if (const auto* norm = std::get_if<LayerNorm>(&module.weights)) {
    module.weight = parameter(".weight", {norm->size}, Role::norm);
    if (norm->has_bias == Bias::yes) module.bias = parameter(".bias", {norm->size}, Role::norm);
  }
  modules.push_back(std::move(module));
  return static_cast<int>(modules.size()) - 1;
}

double linear_operations(const Plan& plan, const PlanGraph& graph, double tokens, double texts) {
  double sum = 0;
  for (const PlanOp& op : graph.ops) {
    if (op.kind != OpKind::linears && op.kind != OpKind::feed_forward) continue;
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

void find_last_readers(PlanGraph& graph) {
  graph.last_reader.assign(graph.values.size(), 0);
  for (size_t i = 0; i < graph.ops.size(); ++i) {
    for (const ValueId id : graph.ops[i].inputs) graph.last_reader[static_cast<size_t>(id)] = i;
    for (const ValueId id : graph.ops[i].outputs) graph.last_reader[static_cast<size_t>(id)] = i;
  }
  graph.last_reader[static_cast<size_t>(graph.result())] = graph.ops.size();
}

}  // namespace mlxe
