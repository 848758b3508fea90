#include "allocate/model_trace.h"

#include <array>
#include <map>
#include <set>

namespace mlxe::allocate {
namespace {

// Gives every tensor a handle, the same one however many modules share it.
class Namer : public ParameterVisitor {
 public:
  void parameter(const ParameterSpec& spec, WeightId& handle) override {
    const auto [it, is_new] = handles_.emplace(spec.name, static_cast<WeightId>(specs.size()));
    handle = it->second;
    if (is_new) specs.push_back(spec);
  }

  std::vector<ParameterSpec> specs;  // by handle

 private:
  std::map<std::string, WeightId> handles_;
};

class Uses {
 public:
  explicit Uses(const std::vector<ParameterSpec>& specs) : specs_(specs) {}

  // In the order of the run, each tensor where it is met first.
  void add(WeightId id, MatrixRole matrix, int stage) {
    if (!seen_.insert(id).second) return;
    const ParameterSpec& spec = specs_[static_cast<size_t>(id)];
    uses.push_back({spec.name, spec.shape, spec.role, matrix, stage});
  }

  std::vector<TensorUse> uses;

 private:
  const std::vector<ParameterSpec>& specs_;
  std::set<WeightId> seen_;
};

// What a linear is to the attention that reads its result, or makes its input.
MatrixRole role_of(const PlanGraph& graph, const PlanOp& linears, ValueId result) {
  constexpr std::array kRoles{MatrixRole::query, MatrixRole::key, MatrixRole::value};
  for (const PlanOp& op : graph.ops) {
    if (op.kind != OpKind::attention) continue;
    for (size_t i = 0; i < op.inputs.size(); ++i)
      if (op.inputs[i] == result) return kRoles[i];
    if (op.outputs[0] == linears.inputs[0]) return MatrixRole::attention_out;
  }
  return MatrixRole::projection;
}

void add_op(Uses& uses, const Plan& plan, const PlanOp& op, int stage) {
  if (op.kind == OpKind::lookup)
    for (const int m : op.modules) uses.add(plan.table(m).weight, MatrixRole::table, stage);
  if (op.kind == OpKind::linears)
    for (size_t i = 0; i < op.modules.size(); ++i)
      uses.add(plan.linear(op, i).weight, role_of(plan.whole, op, op.outputs[i]), stage);
  if (op.kind == OpKind::feed_forward) {
    uses.add(plan.linear(op, 0).weight, MatrixRole::up, stage);
    uses.add(plan.linear(op, 1).weight, MatrixRole::down, stage);
  }
}

}  // namespace

OutputKind output_of(const Model& model) noexcept {
  if (model.classifier) return OutputKind::logits;
  return model.token_classifier ? OutputKind::token_logits : OutputKind::vector;
}

const char* name(MatrixRole role) noexcept {
  constexpr std::array kNames{"table", "query", "key",  "value",     "attention_out",
                              "up",    "down",  "head", "projection"};
  return kNames[static_cast<size_t>(role)];
}

std::vector<TensorUse> trace(Model model, OutputKind output) {
  Namer namer;
  model.visit(namer);
  Uses uses(namer.specs);
  const Plan& plan = model.encoder;
  const PlanGraph& graph = plan.whole;
  const int last_stage = static_cast<int>(graph.layers.size());
  for (int stage = 0; stage < last_stage; ++stage) {
    const auto layer = static_cast<size_t>(stage);
    for (size_t i = graph.layers[layer].first_op; i < graph.layer_end(layer); ++i)
      add_op(uses, plan, graph.ops[i], stage);
  }
  // The dense modules of a sentence pipeline are no part of the checkpoint and have no handle here.
  if (output == OutputKind::logits) {
    uses.add(model.classifier->transform.dense.weight, MatrixRole::head, last_stage);
    uses.add(model.classifier->out.weight, MatrixRole::head, last_stage);
  } else if (output == OutputKind::token_logits) {
    if (model.token_classifier->transform)
      uses.add(model.token_classifier->transform->dense.weight, MatrixRole::head, last_stage);
    uses.add(model.token_classifier->out.weight, MatrixRole::head, last_stage);
  }
  return std::move(uses.uses);
}

}  // namespace mlxe::allocate
