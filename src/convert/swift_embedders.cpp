#include "convert/swift_embedders.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>
#include <vector>

#include "base/text.h"
#include "base/wording.h"
#include "convert/mlx_embeddings_differences.h"
#include "convert/mlx_file_problems.h"
#include "convert/swift_config.h"
#include "convert/weight_components.h"
#include "format/json_file.h"
#include "format/sentence_modules.h"
#include "mlx_encoder/error.h"
#include "models/registry.h"

namespace mlxe {
namespace {

constexpr const char* kSwift = "MLXEmbedders (Swift)";
constexpr const char* kSwiftVersion = "of August 2026";

// In this order, each wherever it occurs. Names of modules get a dot at their end first.
constexpr std::pair<std::string_view, std::string_view> kBertNames[] = {
    {".layer.", ".layers."},
    {".self.key.", ".key_proj."},
    {".self.query.", ".query_proj."},
    {".self.value.", ".value_proj."},
    {".attention.output.dense.", ".attention.out_proj."},
    {".attention.output.LayerNorm.", ".ln1."},
    {".output.LayerNorm.", ".ln2."},
    {".intermediate.dense.", ".linear1."},
    {".output.dense.", ".linear2."},
    {".LayerNorm.", ".norm."},
    {"pooler.dense.", "pooler."},
    {"bert.", ""},
    {"roberta.", ""},
};

constexpr std::pair<std::string_view, std::string_view> kNomicBertNames[] = {
    {"emb_ln", "embeddings.norm"},
    {"bert.", ""},
    {"pooler.dense.", "pooler."},
};

bool is_bert(std::string_view model_type) {
  return model_type == "bert" || model_type == "roberta" || model_type == "xlm-roberta";
}

bool has_biases(std::string_view model_type) {
  return is_bert(model_type) || model_type == "nomic_bert";
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (size_t at = 0; (at = text.find(from, at)) != text.npos; at += to.size())
    text.replace(at, from.size(), to);
}

// The model_type that chooses the Swift class, which is not always the one that we compute.
std::string swift_type(const Config& config) {
  return config.get_or<std::string>("model_type", "");
}

bool classifies(const Config& config) {
  const auto found = config.json().find("architectures");
  return found != config.json().end() && found->is_array() &&
         std::ranges::any_of(*found, [](const nlohmann::json& name) {
           return name.is_string() &&
                  name.get_ref<const std::string&>().find("ForSequenceClassification") != std::string::npos;
         });
}

std::set<std::string> names_of_swift_heads(const Config& config, const std::string& type) {
  std::set<std::string> names;
  const auto add = [&](const char* module) {
    for (const char* part : {".weight", ".bias"}) names.insert(std::string(module) + part);
  };
  if (!is_bert(type)) return names;
  if (!classifies(config) || type == "bert") add("pooler");
  if (!classifies(config)) return names;
  if (type == "bert") {
    add("classifier");
  } else {
    add("classifier.dense");
    add("classifier.out_proj");
  }
  return names;
}

class SwiftJudge {
 public:
  SwiftJudge(Checkpoint& checkpoint, const FolderTokenizer& tokenizer)
      : checkpoint_(checkpoint), tokenizer_(tokenizer), type_(swift_type(checkpoint.config())) {}

  ReaderVerdict judge() {
    if (type_ == "distilbert")
      return refused(
          "it takes a DistilBERT for a BERT, whose names differ; `convert --layout mlx-embeddings` "
          "writes it as one");
    if (!is_bert(type_) && type_ != "qwen3" && type_ != "gemma3_text" && type_ != "nomic_bert")
      return refused(fmt::format("it has no model for {}", printable(type_)));
    const Model model = make_model(checkpoint_, {});
    if (model.model_type != type_ && model.model_type != "xlm_roberta")
      return refused(fmt::format("it would compute {} as {}", printable(model.model_type), type_));
    compare_names(model);
    check_files();
    for (std::string& size : swift_size_problems(type_, model, checkpoint_)) why_.push_back(std::move(size));
    check_quantization();
    if (tokenizer_.state == FolderTokenizer::State::none) why_.push_back("the folder has no tokenizer");
    if (tokenizer_.state == FolderTokenizer::State::broken) why_.push_back(tokenizer_.why);
    ReaderVerdict result{kSwift, why_.empty(), std::move(why_), kSwiftVersion};
    find_differences(model);
    result.why.insert(result.why.end(), differences_.begin(), differences_.end());
    return result;
  }

 private:
  static ReaderVerdict refused(std::string why) { return {kSwift, false, {std::move(why)}, kSwiftVersion}; }

  void compare_names(const Model& model) {
    std::set<std::string> wanted = names_of_swift_heads(checkpoint_.config(), type_), present;
    for (const Parameter& parameter : model.plan.encoder_parameters())
      if (has_biases(type_) || parameter.role != Role::bias)  // its other models have none
        wanted.insert(wanted_path(parameter.name));
    std::vector<std::string> unexpected;
    for (const CheckpointTensor& tensor : checkpoint_.tensors()) {
      if (!has_biases(type_) && tensor.original.find("lm_head") != std::string::npos) continue;
      const std::string name = swift_path(type_, tensor.original);
      if (name == "embeddings.position_ids") continue;
      present.insert(name);
      const bool is_component =
          tensor.role == TensorRole::component && name.ends_with("s") &&
          wanted.contains(std::string(module_of(wanted_path(tensor.owner))) + ".weight");  // scales, biases
      if (!is_component && !wanted.contains(name)) unexpected.push_back(tensor.original);
    }
    for (const Parameter& parameter : model.plan.encoder_parameters())
      if (checkpoint_.has(parameter.name) && checkpoint_.stored(parameter.name).shape != parameter.shape)
        why_.push_back(fmt::format("{} has another shape than config.json asks for", parameter.name));
    std::vector<std::string> missing;
    std::ranges::set_difference(wanted, present, std::back_inserter(missing));
    std::ranges::move(other_tensors(missing, unexpected), std::back_inserter(why_));
  }

  // The path that it asks for. Its Gemma 3 wants the prefix in the file.
  std::string wanted_path(const std::string& canonical) const {
    return type_ == "gemma3_text" ? "model." + canonical : swift_path(type_, canonical);
  }

  void check_files() {
    for (const CheckpointFile& file : checkpoint_.files())
      if (file.path.extension() != ".safetensors")
        why_.push_back(fmt::format("it reads no {}", file.path.filename().string()));
  }

  void check_quantization() {
    const QuantizationConfig& quantization = checkpoint_.quantization();
    for (const CheckpointTensor& tensor : checkpoint_.tensors()) {
      if (tensor.role != TensorRole::weight) continue;
      if (tensor.view.dtype == Dtype::i8 || tensor.view.dtype == Dtype::f64) {
        why_.push_back(fmt::format("{} is {}, which it does not compute with", tensor.original,
                                   name(tensor.view.dtype)));
        return;
      }
      if (tensor.view.dtype != Dtype::u32) continue;
      const std::string path(module_of(swift_path(type_, tensor.original)));
      const Scheme stored = checkpoint_.stored(tensor.name).scheme;
      const auto own = quantization.overrides().find(path);
      std::optional<Scheme> stated =
          own == quantization.overrides().end() ? quantization.global() : own->second;
      if (stated) stated->dtype = stored.dtype;
      if (stated && same_form(*stated, stored)) continue;
      why_.push_back(fmt::format("{} is {}, and no entry {} in \"quantization\" says so", tensor.original,
                                 to_string(stored), path));
      return;
    }
  }

  void find_differences(const Model& model) {
    const bool bert = is_bert(type_);
    const auto [sentence, problem] = modules_of_a_reader(checkpoint_.folder());
    if (!problem.empty()) differences_.push_back("the modules can't be read: " + problem);
    bool after = false;
    for (const SentenceModuleSpec& module : sentence.modules) {
      if (const auto* pooling = std::get_if<PoolingSpec>(&module)) {
        compare_pooling(*pooling, bert);
      } else if (!std::holds_alternative<NormalizeSpec>(module)) {
        after = true;
      }
    }
    if (after) differences_.push_back("it leaves out the modules beside the pooling");
    for (std::string& difference : swift_layer_differences(type_, model, checkpoint_))
      differences_.push_back(std::move(difference));
    const auto activation = checkpoint_.config().get_or<std::string>("hidden_act", "gelu");
    if (bert && activation != "gelu" && activation != "gelu_python")
      differences_.push_back(fmt::format("it computes exact GELU for {}", printable(activation)));
  }

  void compare_pooling(const PoolingSpec& pooling, bool bert) {
    const auto is = [&](PoolingKind kind) { return pooling.kinds == std::vector{kind}; };
    const bool averages = type_ == "gemma3_text";  // its own vector
    if (pooling.folder != "1_Pooling") {
      if (bert)
        differences_.push_back("no 1_Pooling says how to pool, so its vector is the pooler's");
      else if (type_ == "nomic_bert")
        differences_.push_back("no 1_Pooling says how to pool, so it gives the token vectors");
      else if (!is(averages ? PoolingKind::mean : PoolingKind::last_token))
        differences_.push_back(
            fmt::format("no 1_Pooling says how to pool, so it {}",
                        averages ? "averages the token vectors" : "takes the last token's vector"));
    } else if (!read_json(checkpoint_.folder() / "1_Pooling/config.json")
                    .contains("word_embedding_dimension")) {
      differences_.push_back("it does not read the newer spelling of 1_Pooling/config.json");
    } else if (is(PoolingKind::cls)) {
      if (bert) differences_.push_back("its first token's vector goes through the pooler and tanh");
      if (averages)
        differences_.push_back("its vector is the mean where 1_Pooling asks for the first token's");
    } else if (is(PoolingKind::max)) {
      differences_.push_back("in a padded batch, its maximum takes padding for zeros");
    } else if (!is(PoolingKind::mean) && !is(PoolingKind::last_token)) {
      differences_.push_back("it has no such pooling");
    }
  }

  Checkpoint& checkpoint_;
  const FolderTokenizer& tokenizer_;
  std::string type_;
  std::vector<std::string> why_, differences_;
};

}  // namespace

std::string swift_path(std::string_view model_type, std::string_view name) {
  std::string path(name);
  if (model_type == "qwen3") return path.starts_with("model.") ? path : "model." + path;
  if (!is_bert(model_type) && model_type != "nomic_bert") return path;
  path += '.';
  if (model_type == "nomic_bert")
    for (const auto& [from, to] : kNomicBertNames) replace_all(path, from, to);
  else
    for (const auto& [from, to] : kBertNames) replace_all(path, from, to);
  path.pop_back();
  return path;
}

ReaderVerdict judge_swift_embedders(Checkpoint& checkpoint, const FolderTokenizer& tokenizer) {
  try {
    return SwiftJudge(checkpoint, tokenizer).judge();
  } catch (const Error& error) {
    return {kSwift, false, {error.what()}, kSwiftVersion};
  }
}

}  // namespace mlxe
