#include "convert/mlx_embeddings_judge.h"

#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>

#include "base/file_errors.h"
#include "base/wording.h"
#include "convert/mlx_embeddings_differences.h"
#include "convert/mlx_embeddings_layout.h"
#include "convert/mlx_file_problems.h"
#include "convert/weight_components.h"
#include "format/json_file.h"
#include "format/sentence_modules.h"
#include "mlx_encoder/error.h"
#include "models/registry.h"

namespace mlxe {
namespace fs = std::filesystem;
namespace {

constexpr const char* kMlxEmbeddings = "mlx-embeddings";

struct MlxEmbeddingsVersion {
  const char* name;
  bool reads_pooling;  // 1_Pooling, of a BERT or XLM-RoBERTa
};
constexpr MlxEmbeddingsVersion kVersions[] = {{"0.1.0", false}, {"main of May 2026", true}};

// Finds every problem that mlx_embeddings.utils.load_model would have, and what is computed otherwise.
class MlxEmbeddingsJudge {
 public:
  MlxEmbeddingsJudge(Checkpoint& checkpoint, const FolderTokenizer& tokenizer)
      : checkpoint_(checkpoint), tokenizer_(tokenizer) {}

  std::vector<ReaderVerdict> judge() {
    const Config& config = checkpoint_.config();
    const std::string type = find_architecture(config).model_type;  // Jina's folders say "bert"
    const std::optional<MlxEmbeddingsModel> theirs = mlx_embeddings_model(type);
    if (!theirs)
      return both(
          {has_mlx_embeddings_layout(type)
               ? fmt::format("it has no model_type {}; `convert --layout mlx-embeddings` writes one it has",
                             printable(type))
               : fmt::format("it has no model for {}", printable(type))});
    const Model model = make_model(checkpoint_, {});
    const auto [sentence, problem] = modules_of_a_reader(checkpoint_.folder());
    why_ = unnoticed_files(checkpoint_);
    compare_names(model, *theirs);
    if (*theirs == MlxEmbeddingsModel::modernbert) {
      caveats_ = modernbert_differences(model, checkpoint_, sentence);
      check_tied_table();
    } else if (*theirs == MlxEmbeddingsModel::gemma3) {
      caveats_ = gemma3_differences(model, checkpoint_, sentence);
      check_gemma3_sizes();
    } else {
      check_config(model, *theirs);
    }
    if (!problem.empty())
      caveats_.push_back("how it pools was not compared with the modules, which can't be read: " + problem);
    check_tokenizer();
    check_subfolders(*theirs, model, sentence);
    check_quantization(*theirs);
    if (const std::string f64 = f64_tensors(checkpoint_); !f64.empty()) why_.push_back(f64);
    return verdicts(*theirs, sentence);
  }

 private:
  static std::vector<ReaderVerdict> both(const std::vector<std::string>& why) {
    std::vector<ReaderVerdict> verdicts;
    for (const MlxEmbeddingsVersion& version : kVersions)
      verdicts.push_back({kMlxEmbeddings, false, why, version.name});
    return verdicts;
  }

  std::vector<ReaderVerdict> verdicts(MlxEmbeddingsModel theirs, const SentenceModules& sentence) const {
    std::vector<ReaderVerdict> verdicts;
    for (const MlxEmbeddingsVersion& version : kVersions) {
      ReaderVerdict verdict{kMlxEmbeddings, true, why_, version.name};
      if (version.reads_pooling && pools_by_file(theirs))
        if (std::string refused = pooling_that_main_refuses(sentence); !refused.empty())
          verdict.why.push_back(std::move(refused));
      verdict.loads = verdict.why.empty();
      verdict.why.insert(verdict.why.end(), caveats_.begin(), caveats_.end());
      for (std::string& caveat :
           mlx_embeddings_caveats(theirs, version.reads_pooling, sentence, tokenizer_.tokenizer.get()))
        verdict.why.push_back(std::move(caveat));
      verdicts.push_back(std::move(verdict));
    }
    return verdicts;
  }

  // Names of the tensors of heads that the loader's model requires. Its ModernBERT has heads for two architectures,
  // with fixed biases. Its BERT always has a pooler.
  std::set<std::string> names_of_heads(MlxEmbeddingsModel theirs) const {
    const Config& config = checkpoint_.config();
    if (theirs == MlxEmbeddingsModel::qwen3 || theirs == MlxEmbeddingsModel::gemma3) return {};
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

  static constexpr std::string_view kPrefix = "model.";

  // A tensor's name as the loader compares it, without that prefix.
  static std::string their_name(const CheckpointTensor& tensor, MlxEmbeddingsModel theirs) {
    const bool prefixed = adds_model_prefix(theirs) && tensor.original.starts_with(kPrefix);
    return prefixed ? tensor.original.substr(kPrefix.size()) : tensor.original;
  }

  void compare_names(const Model& model, MlxEmbeddingsModel theirs) {
    std::set<std::string> wanted = names_of_heads(theirs);
    for (const Parameter& parameter : model.plan.encoder_parameters())
      if (theirs != MlxEmbeddingsModel::gemma3 || parameter.role != Role::bias)  // its Gemma 3 has none
        wanted.insert(parameter.name);
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
    std::ranges::move(other_tensors(missing, unexpected), std::back_inserter(why_));
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

  // The files of weights below the folder that it takes for weights of the encoder: those of modules, and any other.
  void check_subfolders(MlxEmbeddingsModel theirs, const Model& model, const SentenceModules& sentence) {
    std::set<std::string> dense;
    if (theirs == MlxEmbeddingsModel::gemma3) dense = check_dense(model, sentence);
    walk(checkpoint_.folder(), [&](const fs::directory_entry& entry) {
      const std::string name = entry.path().filename().string();
      const fs::path relative = entry.path().lexically_relative(checkpoint_.folder());
      if (name.starts_with("model") && name.ends_with(".safetensors") &&
          entry.path().parent_path() != checkpoint_.folder() && !dense.contains(relative.generic_string()))
        why_.push_back(fmt::format("it takes {} for weights of the encoder", relative.string()));
    });
  }

  // Its Gemma 3 has two linears after the pooling, to four times the width and back, without biases. It tells them apart
  // by their shapes. Returns their files.
  std::set<std::string> check_dense(const Model& model, const SentenceModules& sentence) {
    const std::vector<const DenseSpec*> dense = sentence.dense();
    const int64_t width = model.hidden_size();
    std::set<std::string> files;
    const bool fits = dense.size() == 2 && dense[0]->in == width && dense[0]->out == 4 * width &&
                      dense[1]->in == 4 * width && dense[1]->out == width && !dense[0]->bias &&
                      !dense[1]->bias;
    if (!fits)
      why_.push_back(fmt::format(
          "it asks for two Dense modules without biases, from {} to {} values and back", width, 4 * width));
    for (const DenseSpec* module : dense) {
      const std::string file = module->folder + "/model.safetensors";
      if (!fs::exists(checkpoint_.folder() / file))
        why_.push_back(fmt::format("it reads no {}", module->folder + "/pytorch_model.bin"));
      files.insert(file);
    }
    return files;
  }

  // Its defaults for what config.json does not state are those of the 1B model.
  void check_gemma3_sizes() {
    const Config& config = checkpoint_.config();
    if (config.has("text_config")) why_.push_back("it reads the sizes beside \"text_config\", not in it");
    for (const auto& [key, theirs, ours] : {std::tuple{"head_dim", 256, 256}, {"num_key_value_heads", 1, 4}})
      if (!config.has(key) && theirs != ours)
        why_.push_back(fmt::format("config.json does not state {}, for which it takes {}", key, theirs));
  }

  // The masked language model of its ModernBERT takes the table of words for its last matrix, but not the table's scales.
  void check_tied_table() {
    const Config& config = checkpoint_.config();
    const CheckpointTensor* table = checkpoint_.find("embeddings.tok_embeddings.weight");
    const auto named = config.json().find("architectures");
    const bool predicts =
        named == config.json().end() || *named == nlohmann::json::array({"ModernBertForMaskedLM"});
    if (predicts && table && table->view.dtype == Dtype::u32)
      why_.push_back(
          "it takes the quantized table of words for a float one; `convert --keep "
          "embeddings.tok_embeddings` leaves the table as it is");
  }

  void check_quantization(MlxEmbeddingsModel theirs) {
    const QuantizationConfig& quantization = checkpoint_.quantization();
    for (const CheckpointTensor& tensor : checkpoint_.tensors()) {
      if (tensor.role != TensorRole::weight || tensor.view.dtype != Dtype::u32) continue;
      const StoredWeight stored = checkpoint_.stored(tensor.name);
      const std::string name =
          adds_model_prefix(theirs) ? std::string(kPrefix) + their_name(tensor, theirs) : tensor.original;
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

}  // namespace

std::vector<ReaderVerdict> judge_mlx_embeddings(Checkpoint& checkpoint, const FolderTokenizer& tokenizer) {
  try {
    return MlxEmbeddingsJudge(checkpoint, tokenizer).judge();
  } catch (const Error& error) {
    std::vector<ReaderVerdict> verdicts;
    for (const MlxEmbeddingsVersion& version : kVersions)
      verdicts.push_back({kMlxEmbeddings, false, {error.what()}, version.name});
    return verdicts;
  }
}

}  // namespace mlxe
