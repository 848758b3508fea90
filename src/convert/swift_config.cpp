#include "convert/swift_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>

#include "base/wording.h"
#include "convert/mlx_embeddings_differences.h"
#include "convert/mlx_file_problems.h"

namespace mlxe {
namespace {

constexpr const char* kQwen3Sizes[] = {"hidden_size",         "num_hidden_layers", "intermediate_size",
                                       "num_attention_heads", "rms_norm_eps",      "vocab_size",
                                       "num_key_value_heads", "head_dim"};
constexpr int64_t kNomicMultiple = 256;  // of its feed-forward's width

double swift_number(const nlohmann::json& config, const char* key, double otherwise) {
  const auto found = config.find(key);
  return found != config.end() && found->is_number() ? found->get<double>() : otherwise;
}

const Parameter* ending_with(const Model& model, std::string_view end) {
  for (const Parameter& parameter : model.plan.encoder_parameters())
    if (parameter.name.ends_with(end)) return &parameter;
  return nullptr;
}

const AttentionSpec* first_attention(const Model& model) {
  for (const PlanOp& op : model.plan.whole.ops)
    if (op.kind == OpKind::attention) return &op.attention;
  return nullptr;
}

std::vector<std::string> nomic_problems(const Model& model, const nlohmann::json& config) {
  const Parameter *words = ending_with(model, "word_embeddings.weight"),
                  *up = ending_with(model, "mlp.fc11.weight");
  if (!words || !up) return {};
  const auto inner = static_cast<int64_t>(std::clamp(swift_number(config, "n_inner", 3072), 0.0, 1e9));
  const struct {
    const char* what;
    double theirs;
    int64_t ours;
  } sizes[] = {
      {"n_embd", swift_number(config, "n_embd", 768), words->shape[1]},
      {"n_head", swift_number(config, "n_head", 12),
       first_attention(model) ? first_attention(model)->heads : 0},
      {"n_layer", swift_number(config, "n_layer", 12), model.layers()},
      {"vocab_size", swift_number(config, "vocab_size", 30528), words->shape[0]},
      {"type_vocab_size", swift_number(config, "type_vocab_size", 2), model.token_types()},
      {"n_inner (a multiple of 256)",
       static_cast<double>((inner + kNomicMultiple - 1) / kNomicMultiple * kNomicMultiple), up->shape[0]},
  };
  std::vector<std::string> found;
  for (const auto& size : sizes)
    if (size.theirs != static_cast<double>(size.ours))
      found.push_back(fmt::format("it takes {} for {}, which is {}", size.theirs, size.what, size.ours));
  return found;
}

std::vector<std::string> gemma3_problems(const Model& model, const nlohmann::json& config) {
  const Parameter *queries = ending_with(model, "q_proj.weight"), *keys = ending_with(model, "k_proj.weight");
  if (!queries || !keys) return {};
  const double head = swift_number(config, "head_dim", 256);
  std::vector<std::string> found;
  if (swift_number(config, "num_attention_heads", 4) * head != static_cast<double>(queries->shape[0]) ||
      swift_number(config, "num_key_value_heads", 1) * head != static_cast<double>(keys->shape[0]))
    found.push_back(fmt::format("it takes {} for head_dim and {} for num_key_value_heads", head,
                                swift_number(config, "num_key_value_heads", 1)));
  return found;
}

}  // namespace

std::vector<std::string> swift_size_problems(std::string_view model_type, const Model& model,
                                             const Checkpoint& checkpoint) {
  const nlohmann::json& config = checkpoint.config().json();
  if (model_type == "nomic_bert") return nomic_problems(model, config);
  if (model_type == "gemma3_text") return gemma3_problems(model, config);
  if (model_type != "qwen3") return {};
  std::vector<std::string> missing;
  for (const char* key : kQwen3Sizes)
    if (!checkpoint.config().has(key)) missing.emplace_back(key);
  if (missing.empty()) return {};
  return {fmt::format("config.json has no {}", listed(missing, kListedTensors))};
}

std::vector<std::string> swift_layer_differences(std::string_view model_type, const Model& model,
                                                 const Checkpoint& checkpoint) {
  const nlohmann::json& config = checkpoint.config().json();
  const AttentionSpec* spec = first_attention(model);
  std::vector<std::string> found;
  if (!spec) return found;
  if (model_type == "gemma3_text") {
    if (!spec->causal) found.push_back("it attends to earlier tokens only");
    for (std::string& layer : gemma3_layer_differences(model, checkpoint)) found.push_back(std::move(layer));
  }
  const bool qwen3 = model_type == "qwen3";
  if (qwen3)
    for (const PlanOp& op : model.plan.whole.ops)
      if (op.kind == OpKind::attention && op.attention.window > 0) {
        found.push_back("a layer slides, but it computes no windows");
        break;
      }
  const char* const key = qwen3 ? "rope_theta" : "rotary_emb_base";
  if (spec->rotary && (qwen3 || model_type == "nomic_bert"))
    if (const auto base = static_cast<float>(swift_number(config, key, qwen3 ? 1e6 : 1000));
        base != spec->rotary->base)
      found.push_back(fmt::format("it takes {} for {}, which is {}", base, key, spec->rotary->base));
  return found;
}

}  // namespace mlxe
