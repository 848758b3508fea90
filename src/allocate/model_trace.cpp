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

class TraceOps {
 public:
  struct Tensor {};

  TraceOps(const std::vector<ParameterSpec>& specs, int last_stage)
      : specs_(specs), last_stage_(last_stage) {}

  int stage = 0;
  std::vector<TensorUse> uses;

  Tensor embed(std::span<const Lookup> lookups) {
    for (const Lookup& l : lookups) use(l.table.weight, Part::table);
    return {};
  }
  Tensor linear(const Tensor&, const Linear& l) {
    use(l.weight, stage == last_stage_ ? Part::head : Part::attention_out);
    return {};
  }
  std::vector<Tensor> linears(const Tensor&, std::span<const Linear> ls) {
    constexpr std::array kParts{Part::query, Part::key, Part::value};
    for (size_t i = 0; i < ls.size(); ++i) use(ls[i].weight, kParts[i % kParts.size()]);
    return std::vector<Tensor>(ls.size());
  }
  Tensor feed_forward(const Tensor&, const Linear& up, Activation, const Linear& down) {
    use(up.weight, Part::up);
    use(down.weight, Part::down);
    return {};
  }
  Tensor attention(const std::vector<Tensor>&, AttentionSpec, const Batch&) { return {}; }
  Tensor layer_norm(const Tensor&, const LayerNorm&) { return {}; }
  Tensor add_layer_norm(const Tensor&, const Tensor&, const LayerNorm&) { return {}; }
  Tensor activate(const Tensor&, Activation) { return {}; }
  Tensor take(const Tensor&, std::span<const int32_t>) { return {}; }
  Tensor pool(const Tensor&, PoolingKind, const Batch&) { return {}; }
  Tensor concatenate(const std::vector<Tensor>&) { return {}; }
  Tensor add(const Tensor&, const Tensor&) { return {}; }
  Tensor normalize(const Tensor&) { return {}; }
  Matrix read(const Tensor&) { return {}; }

 private:
  void use(WeightId id, Part part) {
    // The dense modules of a sentence pipeline are no part of the checkpoint and have no handle here.
    if (id == kNoWeight || !seen_.insert(id).second) return;
    const ParameterSpec& spec = specs_[static_cast<size_t>(id)];
    uses.push_back({spec.name, spec.shape, spec.role, part, stage});
  }

  const std::vector<ParameterSpec>& specs_;
  int last_stage_;
  std::set<WeightId> seen_;
};
static_assert(EncoderOps<TraceOps>);

}  // namespace

OutputKind output_of(const Model& model) noexcept {
  if (model.classifier) return OutputKind::logits;
  return model.token_classifier ? OutputKind::token_logits : OutputKind::vector;
}

const char* name(Part part) noexcept {
  constexpr std::array kNames{"table", "query", "key", "value", "attention_out", "up", "down", "head"};
  return kNames[static_cast<size_t>(part)];
}

std::vector<TensorUse> trace(Model model, OutputKind output) {
  Namer namer;
  model.visit(namer);
  for (SentenceModule& m : model.sentence.modules)
    if (auto* dense = std::get_if<DenseModule>(&m)) {
      dense->dense.weight = kNoWeight;
      if (dense->residual) dense->residual->weight = kNoWeight;
    }
  const int last_stage = static_cast<int>(model.layers()) + 1;
  TraceOps ops(namer.specs, last_stage);
  Batch batch;
  batch.append(std::vector<int32_t>{0});
  const TraceOps::Tensor x = model.with_encoder([&](const auto& encoder) {
    TraceOps::Tensor y = encoder.embed(ops, batch);
    for (int64_t i = 0; i < encoder.layers(); ++i) {
      ops.stage = static_cast<int>(i) + 1;
      y = encoder.layer(ops, i, y, batch, Kept::all);
    }
    return y;
  });
  ops.stage = last_stage;
  switch (output) {
    case OutputKind::vector:
      model.sentence.forward(ops, x, batch);
      break;
    case OutputKind::logits:
      model.classifier->forward(ops, x, batch);
      break;
    case OutputKind::token_logits:
      model.token_classifier->forward(ops, x);
      break;
  }
  return std::move(ops.uses);
}

}  // namespace mlxe::allocate
