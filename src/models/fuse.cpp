#include "models/fuse.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>
#include <vector>

namespace mlxe {
namespace {

class Fusion {
 public:
  explicit Fusion(PlanGraph graph)
      : graph_(std::move(graph)),
        maker_(graph_.values.size(), kNoOp),
        readers_(graph_.values.size()),
        removed_(graph_.ops.size()) {
    for (size_t i = 0; i < graph_.ops.size(); ++i) {
      for (const ValueId id : graph_.ops[i].outputs) maker_[at(id)] = i;
      for (const ValueId id : graph_.ops[i].inputs) ++readers_[at(id)];
    }
    // A value that users see is read by them.
    for (const PlanLayer& layer : graph_.layers) ++readers_[at(layer.output)];
    for (const ValueId id : graph_.outputs)
      if (id != kNoValue) ++readers_[at(id)];
  }

  PlanGraph run() {
    for (size_t layer = 0; layer < graph_.layers.size(); ++layer) {
      first_ = graph_.layers[layer].first_op;
      past_ = graph_.layer_end(layer);
      for (size_t i = first_; i < past_; ++i)
        if (!feed_forward(i)) add_layer_norm(i);
      for (size_t i = first_; i < past_; ++i) merge_linears(i);
    }
    remove_operations();
    remove_values();
    return std::move(graph_);
  }

 private:
  static constexpr size_t kNoOp = static_cast<size_t>(-1);
  static size_t at(ValueId id) { return static_cast<size_t>(id); }

  PlanOp& op(size_t i) { return graph_.ops[i]; }

  // The operation of this layer that makes the value, if it is of the kind and the value has one reader.
  std::optional<size_t> made_for_one(ValueId id, OpKind kind) const {
    const size_t i = maker_[at(id)];
    if (i == kNoOp || i < first_ || i >= past_ || removed_[i] || readers_[at(id)] != 1) return {};
    return graph_.ops[i].kind == kind ? std::optional(i) : std::nullopt;
  }

  std::optional<size_t> made_for_either(const std::vector<ValueId>& ids, OpKind kind) const {
    const auto first = made_for_one(ids[0], kind);
    return first ? first : made_for_one(ids[1], kind);
  }

  static RowRange range(const PlanOp& linears, size_t i) {
    return linears.ranges.empty() ? RowRange{} : linears.ranges[i];
  }

  bool feed_forward(size_t last) {
    if (op(last).kind != OpKind::multi_linear || op(last).modules.size() != 1) return false;
    const ValueId inner = op(last).inputs[0];
    const auto product = made_for_one(inner, OpKind::multiply);
    const auto active = product ? made_for_either(op(*product).inputs, OpKind::activation)
                                : made_for_one(inner, OpKind::activation);
    if (!active) return false;
    const auto activated = made_for_one(op(*active).inputs[0], OpKind::multi_linear);
    const auto up = product ? made_for_either(op(*product).inputs, OpKind::multi_linear) : activated;
    if (!activated || !up || op(*up).inputs != op(*activated).inputs) return false;
    std::vector<size_t> parts{*up, last};  // up, down, gate
    if (product) parts.push_back(*activated);
    PlanOp fused{.kind = OpKind::feed_forward,
                 .inputs = op(*activated).inputs,
                 .outputs = op(last).outputs,
                 .activation = op(*active).activation};
    for (const size_t i : parts) {
      fused.modules.push_back(op(i).modules[0]);
      fused.ranges.push_back(range(op(i), 0));
      removed_[i] = true;
    }
    removed_[*active] = true;
    if (product) removed_[*product] = true;
    replace(last, std::move(fused));
    return true;
  }

  void add_layer_norm(size_t last) {
    if (op(last).kind != OpKind::layer_norm) return;
    const auto sum = made_for_one(op(last).inputs[0], OpKind::add);
    if (!sum) return;
    PlanOp fused = op(last);
    fused.kind = OpKind::add_layer_norm;
    fused.inputs = op(*sum).inputs;
    removed_[*sum] = true;
    replace(last, std::move(fused));
  }

  // Takes up the later linears of the same input.
  void merge_linears(size_t first) {
    if (op(first).kind != OpKind::multi_linear || removed_[first]) return;
    for (size_t i = first + 1; i < past_; ++i) {
      if (op(i).kind != OpKind::multi_linear || removed_[i] || op(i).inputs != op(first).inputs) continue;
      PlanOp& all = op(first);
      const PlanOp& more = op(i);
      all.ranges.resize(all.modules.size());
      for (size_t j = 0; j < more.modules.size(); ++j) {
        all.ranges.push_back(range(more, j));
        all.modules.push_back(more.modules[j]);
        all.outputs.push_back(more.outputs[j]);
      }
      removed_[i] = true;
    }
  }

  void replace(size_t i, PlanOp fused) {
    graph_.ops[i] = std::move(fused);
    removed_[i] = false;
  }

  void remove_operations() {
    std::vector<PlanOp> kept;
    std::vector<size_t> place;  // of each operation, or of the next one that is kept
    for (size_t i = 0; i < graph_.ops.size(); ++i) {
      place.push_back(kept.size());
      if (!removed_[i]) kept.push_back(std::move(graph_.ops[i]));
    }
    place.push_back(kept.size());
    for (PlanLayer& layer : graph_.layers) layer.first_op = place[layer.first_op];
    graph_.first_head = place[graph_.first_head];
    graph_.ops = std::move(kept);
  }

  void remove_values() {
    std::vector<ValueId> renamed(graph_.values.size(), kNoValue);
    std::vector<PlanValue> kept;
    for (PlanOp& op : graph_.ops) {
      for (ValueId& id : op.inputs) id = renamed[at(id)];
      for (ValueId& id : op.outputs) {
        kept.push_back(std::move(graph_.values[at(id)]));
        renamed[at(id)] = static_cast<ValueId>(kept.size()) - 1;
        id = renamed[at(id)];
      }
    }
    for (PlanLayer& layer : graph_.layers) layer.output = renamed[at(layer.output)];
    for (ValueId& id : graph_.outputs)
      if (id != kNoValue) id = renamed[at(id)];
    graph_.values = std::move(kept);
  }

  PlanGraph graph_;
  std::vector<size_t> maker_;    // of each value
  std::vector<int> readers_;     // number of each value's
  std::vector<bool> removed_;    // operations
  size_t first_ = 0, past_ = 0;  // of the layer
};

}  // namespace

PlanGraph fuse(PlanGraph graph) {
  return Fusion(std::move(graph)).run();
}

}  // namespace mlxe
