#include "convert/loader_compatibility.h"

#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>

#include "base/file_errors.h"
#include "base/wording.h"
#include "convert/mlx_embeddings_layout.h"
#include "convert/swift_embedders.h"
#include "convert/weight_components.h"
#include "encoder/model_loader.h"
#include "format/json_file.h"
#include "mlx_encoder/error.h"
#include "models/registry.h"

namespace mlxe {
namespace fs = std::filesystem;
namespace {

constexpr const char* kOwn = "mlx-encoder";
constexpr const char* kMlxEmbeddings = "mlx-embeddings";
constexpr const char* kMlxLmLayout = "mlx-lm layout";
constexpr size_t kListedTensors = 3;

ReaderVerdict verdict(const char* reader, std::vector<std::string> why) {
  return {reader, why.empty(), std::move(why)};
}

ReaderVerdict judge_own(const fs::path& folder, const FolderTokenizer& tokenizer) {
  try {
    tokenizer.require_unbroken();
    load_as_a_run(folder);
    return verdict(kOwn, tokenizer.why.empty() ? std::vector<std::string>{} : std::vector{tokenizer.why});
  } catch (const Error& error) {
    return verdict(kOwn, {error.what()});
  }
}

// Names F64 tensors, which MLX does not read from safetensors. Empty if there are none.
std::string f64_tensors(const Checkpoint& checkpoint) {
  std::vector<std::string> names;
  for (const CheckpointTensor& tensor : checkpoint.tensors())
    if (tensor.view.dtype == Dtype::f64) names.push_back(tensor.original);
  return names.empty() ? ""
                       : fmt::format("{} tensors are F64, which MLX does not read: {}", names.size(),
                                     listed(names, kListedTensors));
}

// Names weight files that MLX's loaders do not find, one sentence each.
std::vector<std::string> unnoticed_files(const Checkpoint& checkpoint) {
  std::vector<std::string> why;
  for (const CheckpointFile& file : checkpoint.files())
    if (const std::string name = file.path.filename().string();
        !name.starts_with("model") || !name.ends_with(".safetensors"))
      why.push_back(fmt::format("{} is not named model*.safetensors", name));
  return why;
}

// Finds every problem that mlx_embeddings.utils.load_model would have; see MlxEmbeddingsLayout.
class MlxEmbeddingsJudge {
 public:
  MlxEmbeddingsJudge(Checkpoint& checkpoint, const FolderTokenizer& tokenizer)
      : checkpoint_(checkpoint), tokenizer_(tokenizer) {}

  ReaderVerdict judge() {
    const Config& config = checkpoint_.config();
    const std::string type = find_architecture(config).model_type;  // Jina's folders say "bert"
    const std::optional<MlxEmbeddingsModel> theirs = mlx_embeddings_model(type);
    if (!theirs)
      return verdict(
          kMlxEmbeddings,
          {has_mlx_embeddings_layout(type)
               ? fmt::format("it has no model_type {}; `convert --layout mlx-embeddings` writes one it has",
                             printable(type))
               : fmt::format("this version writes no {} for it", printable(type))});
    const Model model = make_model(checkpoint_, {});
    why_ = unnoticed_files(checkpoint_);
    compare_names(model, *theirs);
    if (*theirs == MlxEmbeddingsModel::modernbert)
      caveats_.push_back("what it computes of a ModernBERT was not compared; it pools by classifier_pooling");
    else
      check_config(model, *theirs);
    check_tokenizer();
    check_subfolders();
    check_quantization(*theirs);
    if (const std::string f64 = f64_tensors(checkpoint_); !f64.empty()) why_.push_back(f64);
    ReaderVerdict result = verdict(kMlxEmbeddings, std::move(why_));
    result.why.insert(result.why.end(), caveats_.begin(), caveats_.end());
    return result;
  }

 private:
  // Names of the tensors of heads that the loader's model requires. Its ModernBERT has heads for two architectures,
  // with fixed biases. Its BERT always has a pooler.
  std::set<std::string> names_of_heads(MlxEmbeddingsModel theirs) const {
    const Config& config = checkpoint_.config();
    if (theirs == MlxEmbeddingsModel::qwen3) return {};
    if (theirs != MlxEmbeddingsModel::modernbert)
      return theirs == MlxEmbeddingsModel::bert || config.get_or<bool>("add_pooling_layer", true)
                 ? std::set<std::string>{"pooler.dense.weight", "pooler.dense.bias"}
                 : std::set<std::string>{};
    const auto is = [&](const char* name) {
      const auto found = config.json().find("architectures");
      return found != config.json().end() && *found == nlohmann::json::array({name});
    };
    const bool classifies = is("ModernBertForSequenceClassification");
    if (!classifies && !is("ModernBertForMaskedLM")) return {};
    std::set<std::string> names{"head.dense.weight", "head.norm.weight"};
    if (config.get_or<bool>("norm_bias", false)) names.insert("head.norm.bias");
    if (classifies)
      names.insert({"classifier.weight", "classifier.bias"});
    else
      names.insert("decoder.bias");
    return names;
  }

  // The loader adds "model." to names without it, for ModernBERT and Qwen3.
  static bool adds_prefix(MlxEmbeddingsModel theirs) {
    return theirs == MlxEmbeddingsModel::modernbert || theirs == MlxEmbeddingsModel::qwen3;
  }
  static constexpr std::string_view kPrefix = "model.";

  // A tensor's name as the loader compares it, without that prefix.
  static std::string their_name(const CheckpointTensor& tensor, MlxEmbeddingsModel theirs) {
    const bool prefixed = adds_prefix(theirs) && tensor.original.starts_with(kPrefix);
    return prefixed ? tensor.original.substr(kPrefix.size()) : tensor.original;
  }

  void compare_names(const Model& model, MlxEmbeddingsModel theirs) {
    std::set<std::string> wanted = names_of_heads(theirs);
    for (const Parameter& parameter : model.plan.encoder_parameters()) wanted.insert(parameter.name);
    std::vector<std::string> missing, unexpected;
    std::set<std::string> present;
    for (const CheckpointTensor& tensor : checkpoint_.tensors()) present.insert(their_name(tensor, theirs));
    for (const std::string& name : wanted)
      if (!present.contains(name)) missing.push_back(name);
    for (const CheckpointTensor& tensor : checkpoint_.tensors()) {
      if (tensor.original.find("position_ids") != std::string::npos) continue;
      if (theirs == MlxEmbeddingsModel::qwen3 && tensor.original.find("lm_head.weight") != std::string::npos)
        continue;
      const bool is_component = tensor.role == TensorRole::component && tensor.original.ends_with("s") &&
                                wanted.contains(tensor.owner) &&
                                their_name(tensor, theirs) == tensor.name;  // scales, biases
      if (!wanted.contains(their_name(tensor, theirs)) && !is_component)
        unexpected.push_back(tensor.original);
    }
    if (!missing.empty())
      why_.push_back(fmt::format("{} tensors it asks for are missing: {}", missing.size(),
                                 listed(missing, kListedTensors)));
    if (!unexpected.empty())
      why_.push_back(fmt::format("{} tensors it has no place for: {}", unexpected.size(),
                                 listed(unexpected, kListedTensors)));
    if (!missing.empty() || !unexpected.empty())
      if (has_mlx_embeddings_layout(find_architecture(checkpoint_.config()).model_type))
        why_.push_back("`convert --layout mlx-embeddings` writes the encoder as it wants it");
  }

  void check_config(const Model& model, MlxEmbeddingsModel theirs) {
    const Config& config = checkpoint_.config();
    if (theirs == MlxEmbeddingsModel::qwen3 &&
        config.positive("hidden_size") % config.positive("num_attention_heads") != 0)
      return why_.push_back("it asks for a \"hidden_size\" that \"num_attention_heads\" divides");
    try {
      const MlxEmbeddingsLayout layout(model, checkpoint_);  // throws if the loader's model can't compute it
      if (theirs == MlxEmbeddingsModel::qwen3) compare_qwen3_config(layout.config());
      for (std::string& caveat : mlx_embeddings_caveats(theirs, read_sentence_modules(checkpoint_.folder()),
                                                        tokenizer_.tokenizer.get()))
        caveats_.push_back(std::move(caveat));
    } catch (const Error& error) {
      caveats_.push_back(error.what());
    }
  }

  // The loader has defaults of its own for keys that config.json lacks, and for those that transformers 5 writes
  // elsewhere.
  void compare_qwen3_config(const nlohmann::json& stated) {
    const Config& config = checkpoint_.config();
    const int64_t heads = config.positive("num_attention_heads");
    const std::pair<const char*, int64_t> sizes[] = {{"num_key_value_heads", heads},
                                                     {"head_dim", config.positive("hidden_size") / heads}};
    for (const auto& [key, theirs] : sizes)
      if (const int64_t read = config.positive_or(key, theirs); read != stated[key])
        why_.push_back(fmt::format("config.json does not state {} {}, for which it takes {}", key,
                                   stated[key].get<int64_t>(), read));
    const auto base = static_cast<float>(config.non_negative_number_or("rope_theta", 1e6));
    if (const float ours = stated["rope_theta"].get<float>(); base != ours)
      caveats_.push_back(fmt::format("it reads \"rope_theta\" alone and takes {} for {}", base, ours));
  }

  void check_tokenizer() {
    if (tokenizer_.state == FolderTokenizer::State::none)
      caveats_.push_back("the folder has no tokenizer, which mlx_embeddings.load asks for");
    if (tokenizer_.state == FolderTokenizer::State::broken) why_.push_back(tokenizer_.why);
  }

  void check_subfolders() {
    walk(checkpoint_.folder(), [&](const fs::directory_entry& entry) {
      const std::string name = entry.path().filename().string();
      if (name.starts_with("model") && name.ends_with(".safetensors") &&
          entry.path().parent_path() != checkpoint_.folder())
        why_.push_back(fmt::format("it takes {} for weights of the encoder",
                                   entry.path().lexically_relative(checkpoint_.folder()).string()));
    });
  }

  void check_quantization(MlxEmbeddingsModel theirs) {
    const QuantizationConfig& quantization = checkpoint_.quantization();
    for (const CheckpointTensor& tensor : checkpoint_.tensors()) {
      if (tensor.role != TensorRole::weight || tensor.view.dtype != Dtype::u32) continue;
      const StoredWeight stored = checkpoint_.stored(tensor.name);
      const std::string name =
          adds_prefix(theirs) ? std::string(kPrefix) + their_name(tensor, theirs) : tensor.original;
      const std::string module = name.substr(0, name.rfind('.'));
      if (quantization.overrides().contains(module)) continue;
      Scheme global = *quantization.global();
      global.dtype = stored.scheme.dtype;
      if (!same_form(global, stored.scheme))
        why_.push_back(fmt::format("{} is {}, and no entry {} in \"quantization\" says so", tensor.original,
                                   to_string(stored.scheme), printable(module)));
      else if (element_count(stored.shape) % 64 != 0)
        why_.push_back(
            fmt::format("{} has {} values, which 64 does not divide: it takes that for floats unless "
                        "\"quantization\" names the module",
                        tensor.original, element_count(stored.shape)));
    }
  }

  Checkpoint& checkpoint_;
  const FolderTokenizer& tokenizer_;
  std::vector<std::string> why_, caveats_;
};

ReaderVerdict judge_mlx_embeddings(Checkpoint& checkpoint, const FolderTokenizer& tokenizer) {
  try {
    return MlxEmbeddingsJudge(checkpoint, tokenizer).judge();
  } catch (const Error& error) {
    return verdict(kMlxEmbeddings, {error.what()});
  }
}

// Requirements of mlx_lm.utils.load_model and similar loaders, for any architecture.
ReaderVerdict judge_mlx_lm_layout(const Checkpoint& checkpoint) {
  std::vector<std::string> why = unnoticed_files(checkpoint);
  bool mlx = false, own = false;
  for (const CheckpointTensor& tensor : checkpoint.tensors()) {
    mlx |= tensor.role == TensorRole::weight && tensor.view.dtype == Dtype::u32;
    own |= tensor.role == TensorRole::weight && tensor.view.dtype == Dtype::i8;
  }
  if (const std::string f64 = f64_tensors(checkpoint); !f64.empty()) why.push_back(f64);
  if (own) why.push_back("int8 tensors are this project's own format");
  if (mlx && !checkpoint.config().has("quantization")) why.push_back("config.json has no \"quantization\"");
  for (const std::string& name : checkpoint.weight_names()) try {
      (void)checkpoint.stored(name);
    } catch (const Error& error) {
      why.push_back(error.what());
    }
  const fs::path index = checkpoint.transformer_folder() / "model.safetensors.index.json";
  if (fs::exists(index)) {
    const nlohmann::json written = read_json(index);
    std::set<std::string> files, named;
    for (const CheckpointFile& file : checkpoint.files()) files.insert(file.path.filename().string());
    if (const auto map = written.find("weight_map"); map != written.end() && map->is_object())
      for (const auto& [tensor, file] : map->items())
        if (file.is_string()) named.insert(file.get<std::string>());
    if (files != named)
      why.push_back("model.safetensors.index.json names other files than those that are there");
  }
  return verdict(kMlxLmLayout, std::move(why));
}

}  // namespace

void require_mlx_embeddings_loads(const fs::path& written, const FolderTokenizer& tokenizer,
                                  const fs::path& output) {
  Checkpoint checkpoint = Checkpoint::open(written);
  const ReaderVerdict found = judge_mlx_embeddings(checkpoint, tokenizer);
  if (!found.loads)
    throw Error(ErrorCode::unsupported,
                fmt::format("{}: mlx-embeddings would not load it: {}; nothing was kept: use --layout hf",
                            output.string(), listed(found.why, kListedTensors, "; ")));
}

std::vector<ReaderVerdict> judge_loaders(Checkpoint& checkpoint, const FolderTokenizer& tokenizer) {
  return {judge_own(checkpoint.folder(), tokenizer), judge_mlx_embeddings(checkpoint, tokenizer),
          judge_swift_embedders(checkpoint, tokenizer), judge_mlx_lm_layout(checkpoint)};
}

void load_as_a_run(const fs::path& folder) {
  LoadedModel loaded = load_model(folder, {});
  const std::unique_ptr<Engine> engine = make_cpu_engine({.threads = 1});
  bind(loaded, *engine);
}

}  // namespace mlxe
