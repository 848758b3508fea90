#include "allocate/model_trace.h"

#include <array>
#include <set>

namespace mlxe::allocate {
namespace {

class Uses {
 public:
  explicit Uses(const Plan& plan) : plan_(plan) {}

  // Tensors in the order of their first use. Those of sentence-transformers modules are left out.
  void add(int module, MatrixRole matrix, int stage) {
    const ParameterId id = plan_.at(module).weight;
    if (!seen_.insert(id).second) return;
    const Parameter& p = plan_.parameter(id);
    if (p.file != ParameterFile::checkpoint) return;
    uses.push_back({p.name, p.shape, p.role, matrix, stage});
  }

  std::vector<TensorUse> uses;

 private:
  const Plan& plan_;
  std::set<ParameterId> seen_;
};

// The role of a linear outside the heads. An attention reads the result of a query, key or value, or of a projection of
// positions; attention_out reads the result of an attention.
MatrixRole role_of(const PlanGraph& graph, const PlanOp& linears, ValueId result) {
  constexpr std::array kRoles{MatrixRole::query, MatrixRole::key, MatrixRole::value};
  for (const PlanOp& op : graph.ops) {
    if (op.kind != OpKind::attention) continue;
    for (size_t i = 0; i < op.inputs.size(); ++i)
      if (op.inputs[i] == result) return i < kRoles.size() ? kRoles[i] : MatrixRole::projection;
    if (op.outputs[0] == linears.inputs[0]) return MatrixRole::attention_out;
  }
  return MatrixRole::projection;
}

void add_op(Uses& uses, const Plan& plan, const PlanOp& op, int stage) {
  if (op.kind == OpKind::lookup || op.kind == OpKind::all_rows)
    for (const int m : op.modules) uses.add(m, MatrixRole::table, stage);
  if (op.kind == OpKind::multi_linear)
    for (size_t i = 0; i < op.modules.size(); ++i)
      uses.add(op.modules[i], role_of(plan.whole, op, op.outputs[i]), stage);
  if (op.kind == OpKind::feed_forward) {
    uses.add(op.modules[0], MatrixRole::up, stage);
    if (op.modules.size() > 2) uses.add(op.modules[2], MatrixRole::gate, stage);
    uses.add(op.modules[1], MatrixRole::down, stage);
  }
}

}  // namespace

Output output_of(const Model& model) noexcept {
  return model.task_logits().value_or(Output::sentence);
}

const char* name(MatrixRole role) noexcept {
  constexpr std::array kNames{"table", "query", "key",  "value", "attention_out",
                              "up",    "gate",  "down", "head",  "projection"};
  return kNames[static_cast<size_t>(role)];
}

std::vector<TensorUse> trace(const Model& model, Output output) {
  const Plan& plan = model.plan;
  Uses uses(plan);
  const PlanGraph& graph = plan.whole;
  const int last_stage = static_cast<int>(graph.layers.size());
  for (int stage = 0; stage < last_stage; ++stage) {
    const auto layer = static_cast<size_t>(stage);
    for (size_t i = graph.layers[layer].first_op; i < graph.layer_end(layer); ++i)
      add_op(uses, plan, graph.ops[i], stage);
  }
  for (size_t i = graph.first_head; i < graph.ops.size(); ++i)
    if (const PlanOp& op = graph.ops[i]; op.kind == OpKind::multi_linear && op.wanted_by.contains(output))
      for (const int m : op.modules) uses.add(m, MatrixRole::head, last_stage);
  return std::move(uses.uses);
}

}  // namespace mlxe::allocate
