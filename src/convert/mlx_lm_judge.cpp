#include "convert/mlx_lm_judge.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/text.h"
#include "base/wording.h"
#include "convert/mlx_embeddings_differences.h"
#include "convert/mlx_file_problems.h"
#include "format/json_file.h"
#include "mlx_encoder/error.h"
#include "models/registry.h"

namespace mlxe {
namespace {

constexpr const char* kMlxLm = "mlx-lm";
constexpr const char* kMlxLmVersion = "0.32.2";
constexpr const char* kHead = "lm_head.weight";

constexpr const char* kQwen3Keys[] = {"head_dim",
                                      "hidden_size",
                                      "intermediate_size",
                                      "max_position_embeddings",
                                      "num_attention_heads",
                                      "num_hidden_layers",
                                      "rms_norm_eps",
                                      "num_key_value_heads",
                                      "tie_word_embeddings",
                                      "vocab_size"};

class MlxLmJudge {
 public:
  MlxLmJudge(Checkpoint& checkpoint, bool qwen3) : checkpoint_(checkpoint), qwen3_(qwen3) {}

  ReaderVerdict judge() {
    const Model model = make_model(checkpoint_, {});
    why_ = unnoticed_files(checkpoint_);
    if (const std::string f64 = f64_tensors(checkpoint_); !f64.empty()) why_.push_back(f64);
    if (qwen3_) check_keys();
    compare_names(model);
    ReaderVerdict verdict{kMlxLm, why_.empty(), std::move(why_), kMlxLmVersion};
    for (const PlanOp& op : model.plan.whole.ops)
      if (op.kind == OpKind::attention) {
        if (!op.attention.causal) verdict.why.push_back("it attends to earlier tokens only");
        if (qwen3_ && op.attention.window > 0)
          verdict.why.push_back("a layer slides, but it computes no windows");
        if (op.attention.window > 0 || !op.attention.causal) break;
      }
    if (!qwen3_)
      for (std::string& layer : gemma3_layer_differences(model, checkpoint_))
        verdict.why.push_back(std::move(layer));
    return verdict;
  }

 private:
  void check_keys() {
    const nlohmann::json& config = checkpoint_.config().json();
    std::vector<std::string> missing;
    for (const char* key : kQwen3Keys)
      if (!config.contains(key)) missing.emplace_back(key);
    const auto rotary = config.find("rope_parameters");
    const bool nested = rotary != config.end() && rotary->is_object() && rotary->contains("rope_theta");
    if (!config.contains("rope_theta") && !nested) missing.emplace_back("rope_theta");
    if (!missing.empty())
      why_.push_back(fmt::format("config.json has no {}", listed(missing, kListedTensors)));
  }

  // Its models have no biases. Qwen3 has a head unless the config ties it, Gemma 3 if the file has one.
  void compare_names(const Model& model) {
    const bool tied = checkpoint_.config().get_or<bool>("tie_word_embeddings", false);
    std::set<std::string> wanted, present;
    for (const Parameter& parameter : model.plan.encoder_parameters())
      if (parameter.role != Role::bias) wanted.insert("model." + parameter.name);
    std::vector<std::string> unexpected;
    for (const CheckpointTensor& tensor : checkpoint_.tensors()) {
      if (tensor.original == kHead && (!qwen3_ || !tied)) wanted.insert(kHead);
      if (tensor.original == kHead && qwen3_ && tied) continue;
      present.insert(tensor.original);
    }
    if (qwen3_ && !tied) wanted.insert(kHead);
    for (const CheckpointTensor& tensor : checkpoint_.tensors()) {
      if (!present.contains(tensor.original) || wanted.contains(tensor.original)) continue;
      const std::string module(tensor.original.substr(0, tensor.original.rfind('.')));
      const bool is_component = tensor.role == TensorRole::component && tensor.original.ends_with("s") &&
                                wanted.contains(module + ".weight");  // scales, biases
      if (!is_component) unexpected.push_back(tensor.original);
    }
    std::vector<std::string> missing;
    std::ranges::set_difference(wanted, present, std::back_inserter(missing));
    std::ranges::move(other_tensors(missing, unexpected), std::back_inserter(why_));
  }

  Checkpoint& checkpoint_;
  bool qwen3_;
  std::vector<std::string> why_;
};

}  // namespace

ReaderVerdict judge_mlx_lm(Checkpoint& checkpoint) try {
  const std::string type = find_architecture(checkpoint.config()).model_type;
  if (type == "qwen3" || type == "gemma3_text") return MlxLmJudge(checkpoint, type == "qwen3").judge();
  return {kMlxLm,
          false,
          {fmt::format("it has language models only, none for {}", printable(type))},
          kMlxLmVersion};
} catch (const Error& error) {
  return {kMlxLm, false, {error.what()}, kMlxLmVersion};
}

}  // namespace mlxe
