#include "convert/reader_config.h"

#include <nlohmann/json.hpp>
#include <optional>

#include "convert/mlx_embeddings_layout.h"

namespace mlxe {
namespace {

using nlohmann::json;

template <class T>
void state(json& config, const char* key, const T& value) {
  if (!config.contains(key)) config[key] = value;
}

// The bases of rotary positions in layers that see all tokens and in those with a window.
struct RotaryBases {
  std::optional<double> full, sliding;
};

RotaryBases rotary_bases(const Model& model) {
  RotaryBases bases;
  for (const PlanOp& op : model.plan.whole.ops)
    if (op.kind == OpKind::attention && op.attention.rotary)
      (op.attention.window > 0 ? bases.sliding : bases.full) = static_cast<double>(op.attention.rotary->base);
  return bases;
}

void state_heads(json& config, const Model& model) {
  for (const PlanOp& op : model.plan.whole.ops) {
    if (op.kind != OpKind::attention) continue;
    const PlanValue& queries = model.plan.whole.values[static_cast<size_t>(op.inputs[0])];
    state(config, "head_dim", queries.columns / op.attention.heads);
    state(config, "num_key_value_heads", op.attention.kv_heads);
    return;
  }
}

}  // namespace

void state_for_readers(json& config, const Model& model, const Checkpoint& checkpoint) {
  const std::optional<MlxEmbeddingsModel> theirs = mlx_embeddings_model(model.model_type);
  if (!theirs) return;
  const RotaryBases bases = rotary_bases(model);
  const auto state_base = [&](const char* key, const std::optional<double>& base) {
    if (base) state(config, key, *base);
  };
  switch (*theirs) {
    case MlxEmbeddingsModel::bert:
      return;
    case MlxEmbeddingsModel::xlm_roberta:
      if (!checkpoint.has("pooler.dense.weight")) state(config, "add_pooling_layer", false);
      return;
    case MlxEmbeddingsModel::modernbert:
      state_base("global_rope_theta", bases.full);
      state_base("local_rope_theta", bases.sliding);
      return;
    case MlxEmbeddingsModel::qwen3:
      state_heads(config, model);
      state_base("rope_theta", bases.full ? bases.full : bases.sliding);
      return;
    case MlxEmbeddingsModel::gemma3:
      state_heads(config, model);
      state_base("rope_theta", bases.full);
      state_base("rope_local_base_freq", bases.sliding);
      return;
  }
}

}  // namespace mlxe
