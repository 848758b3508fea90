#include "convert/mlx_embeddings_layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>
#include <utility>

#include "format/json_file.h"
#include "format/sentence_modules.h"
#include "mlx_encoder/error.h"

namespace mlxe {

using NamePair = std::pair<const char*, const char*>;  // the architecture's, the loader's

// How an architecture is written as one of the loader's models, which must compute the same.
struct MlxEmbeddingsRow {
  std::string_view model_type;
  MlxEmbeddingsModel model;
  const char* tokenizer_class = nullptr;  // AutoTokenizer's choice by the written model_type is another
  std::string_view layers = "encoder.layer.";
  std::span<const NamePair> layer_names = {};  // beginnings, after the layer's number; none: the loader's
  std::span<const NamePair> config_names = {};
  std::span<const char* const> unused_keys = {};  // of config.json
  const char* activation_key = "hidden_act";
  const char* epsilon_key = "layer_norm_eps";  // null: the default always holds
};

namespace {

using nlohmann::json;

constexpr NamePair kDistilBertLayer[] = {
    {"attention.q_lin.", "attention.self.query."},
    {"attention.k_lin.", "attention.self.key."},
    {"attention.v_lin.", "attention.self.value."},
    {"attention.out_lin.", "attention.output.dense."},
    {"sa_layer_norm.", "attention.output.LayerNorm."},
    {"ffn.lin1.", "intermediate.dense."},
    {"ffn.lin2.", "output.dense."},
    {"output_layer_norm.", "output.LayerNorm."},
};
constexpr NamePair kDistilBertConfig[] = {
    {"dim", "hidden_size"},
    {"n_layers", "num_hidden_layers"},
    {"n_heads", "num_attention_heads"},
    {"hidden_dim", "intermediate_size"},
    {"activation", "hidden_act"},
    {"dropout", "hidden_dropout_prob"},
    {"attention_dropout", "attention_probs_dropout_prob"},
};
constexpr const char* kDistilBertUnused[] = {"qa_dropout", "seq_classif_dropout", "sinusoidal_pos_embds",
                                             "tie_weights_"};

constexpr MlxEmbeddingsRow kRows[] = {
    {.model_type = "bert", .model = MlxEmbeddingsModel::bert},
    {.model_type = "distilbert",
     .model = MlxEmbeddingsModel::bert,
     .layers = "transformer.layer.",
     .layer_names = kDistilBertLayer,
     .config_names = kDistilBertConfig,
     .unused_keys = kDistilBertUnused,
     .activation_key = "activation",
     .epsilon_key = nullptr},
    {.model_type = "roberta",
     .model = MlxEmbeddingsModel::xlm_roberta,
     .tokenizer_class = "RobertaTokenizer"},
    {.model_type = "xlm-roberta", .model = MlxEmbeddingsModel::xlm_roberta},
    {.model_type = "xlm_roberta", .model = MlxEmbeddingsModel::xlm_roberta},
    {.model_type = "camembert",
     .model = MlxEmbeddingsModel::xlm_roberta,
     .tokenizer_class = "CamembertTokenizer"},
    {.model_type = "modernbert",
     .model = MlxEmbeddingsModel::modernbert,
     .activation_key = "hidden_activation"},
    {.model_type = "qwen3", .model = MlxEmbeddingsModel::qwen3},
};

constexpr double kEpsilon = 1e-12;  // of layer norms, transformers' default
constexpr int64_t kBertTokenTypes = 2;

const MlxEmbeddingsRow& row_of(const Model& model, const Config& config) {
  const auto* row = std::ranges::find(kRows, model.model_type, &MlxEmbeddingsRow::model_type);
  if (row != std::end(kRows)) return *row;
  throw Error(ErrorCode::unsupported, config.where() + ": this version writes no " + model.model_type +
                                          " for mlx-embeddings; use --layout hf");
}

void require_activation(const MlxEmbeddingsRow& row, const Config& config) {
  const bool qwen3 = row.model == MlxEmbeddingsModel::qwen3;
  const auto spelling = config.get_or<std::string>(row.activation_key, qwen3 ? "silu" : "gelu");
  const std::string where = config.where() + ": \"" + row.activation_key + "\"";
  if (parse_activation(spelling, where) != (qwen3 ? Activation::silu : Activation::gelu_erf))
    throw Error(ErrorCode::unsupported, where + " is \"" + spelling + "\", but mlx-embeddings computes " +
                                            (qwen3 ? "SiLU" : "exact GELU") +
                                            " in every such model; use --layout hf");
}

// Its Qwen3 reads these keys alone, and not where transformers 5 writes them.
json qwen3_config(const Model& model, const Config& source) {
  json config = source.json();
  for (const PlanOp& op : model.plan.whole.ops) {
    if (op.kind != OpKind::attention) continue;
    const AttentionSpec& spec = op.attention;
    if (spec.window > 0)
      throw Error(
          ErrorCode::unsupported,
          source.where() + ": a layer slides, but mlx-embeddings computes no windows; use --layout hf");
    if (model.hidden_size() % spec.heads != 0)
      throw Error(ErrorCode::unsupported,
                  fmt::format("{}: {} heads do not divide \"hidden_size\" {}, which mlx-embeddings asks for; "
                              "use --layout hf",
                              source.where(), spec.heads, model.hidden_size()));
    const PlanValue& queries = model.plan.whole.values[static_cast<size_t>(op.inputs[0])];
    config["num_key_value_heads"] = spec.kv_heads;
    config["head_dim"] = queries.columns / spec.heads;
    config["rope_theta"] = static_cast<double>(spec.rotary->base);
  }
  for (const char* elsewhere : {"rope_parameters", "rope_scaling"}) config.erase(elsewhere);
  return config;
}

constexpr const char* kOfAHead[] = {"finetuning_task", "id2label", "label2id", "num_labels", "problem_type"};

// Its ModernBERT pools by "classifier_pooling", and has no sliding layers but all except each N-th.
json modernbert_config(const Model& model, const Checkpoint& checkpoint) {
  const Config& source = checkpoint.config();
  json config = source.json();
  for (const char* key : kOfAHead) config.erase(key);
  config["architectures"] = json::array({"ModernBertModel"});
  const int64_t every = source.positive_or("global_attn_every_n_layers", 3);
  config["global_attn_every_n_layers"] = every;
  int64_t layer = 0;
  for (const PlanOp& op : model.plan.whole.ops) {
    if (op.kind != OpKind::attention) continue;
    const AttentionSpec& spec = op.attention;
    if ((spec.window > 0) != (layer++ % every != 0))
      throw Error(ErrorCode::unsupported,
                  fmt::format("{}: not all layers but each {}-th slide, as mlx-embeddings takes them to; use "
                              "--layout hf",
                              source.where(), every));
    config[spec.window > 0 ? "local_rope_theta" : "global_rope_theta"] =
        static_cast<double>(spec.rotary->base);
  }
  const SentenceModules sentence = read_sentence_modules(checkpoint.folder(), {}, ExpectVectors::no);
  bool first = false;
  for (const SentenceModuleSpec& module : sentence.modules)
    if (const auto* pooling = std::get_if<PoolingSpec>(&module))
      first = pooling->kinds == std::vector{PoolingKind::cls};
  config["classifier_pooling"] = first ? "cls" : "mean";
  return config;
}

// AutoTokenizer goes by model_type where nothing names the class.
bool names_its_tokenizer(const Checkpoint& checkpoint) {
  const auto file = checkpoint.transformer_folder() / "tokenizer_config.json";
  if (!std::filesystem::exists(file)) return false;
  const json config = read_json(file);
  return config.is_object() && config.contains("tokenizer_class") && config["tokenizer_class"].is_string();
}

json loader_config(const MlxEmbeddingsRow& row, const Model& model, const Checkpoint& checkpoint) {
  const Config& source = checkpoint.config();
  if (row.model == MlxEmbeddingsModel::qwen3) return qwen3_config(model, source);
  if (row.model == MlxEmbeddingsModel::modernbert) return modernbert_config(model, checkpoint);
  json config = source.json();
  for (const auto& [ours, theirs] : row.config_names) {
    const auto it = config.find(ours);
    if (it == config.end()) continue;
    config[theirs] = *it;
    config.erase(ours);
  }
  for (const char* key : row.unused_keys) config.erase(key);
  for (const char* key : kOfAHead) config.erase(key);
  // The loader's defaults are not transformers'.
  config["type_vocab_size"] = model.token_types() > 0 ? model.token_types() : kBertTokenTypes;
  config["layer_norm_eps"] =
      row.epsilon_key ? source.non_negative_number_or(row.epsilon_key, kEpsilon) : kEpsilon;
  const bool bert = row.model == MlxEmbeddingsModel::bert;
  config["architectures"] = json::array({bert ? "BertModel" : "XLMRobertaModel"});
  config["model_type"] = bert ? "bert" : "xlm-roberta";
  if (bert) return config;
  config["pad_token_id"] = source.get_or<int64_t>("pad_token_id", 1);
  config["add_pooling_layer"] = true;
  if (row.tokenizer_class && !names_its_tokenizer(checkpoint))
    config["tokenizer_class"] = row.tokenizer_class;
  return config;
}

std::vector<SynthesizedTensor> missing_tensors(const MlxEmbeddingsRow& row, const Model& model,
                                               const Checkpoint& checkpoint) {
  using Fill = SynthesizedTensor::Fill;
  std::vector<SynthesizedTensor> missing;
  if (adds_model_prefix(row.model)) return missing;
  const int64_t hidden = model.hidden_size();
  if (!checkpoint.has("pooler.dense.weight")) {
    const std::string why = row.model == MlxEmbeddingsModel::bert
                                ? "mlx-embeddings asks for a pooler, the model has none"
                                : "Swift's MLXEmbedders asks for a pooler, the model has none";
    missing.push_back({"pooler.dense.weight", {hidden, hidden}, Role::linear, Fill::identity, why});
    missing.push_back({"pooler.dense.bias", {hidden}, Role::bias, Fill::zeros, why});
  }
  if (model.token_types() == 0)
    missing.push_back({"embeddings.token_type_embeddings.weight",
                       {kBertTokenTypes, hidden},
                       Role::token_type_embedding,
                       Fill::zeros,
                       "BERT has token types, DistilBERT none"});
  return missing;
}

}  // namespace

bool has_mlx_embeddings_layout(std::string_view model_type) noexcept {
  return std::ranges::find(kRows, model_type, &MlxEmbeddingsRow::model_type) != std::end(kRows);
}

std::optional<MlxEmbeddingsModel> mlx_embeddings_model(std::string_view model_type) noexcept {
  if (model_type == "bert") return MlxEmbeddingsModel::bert;
  if (model_type == "xlm-roberta" || model_type == "xlm_roberta") return MlxEmbeddingsModel::xlm_roberta;
  if (model_type == "modernbert") return MlxEmbeddingsModel::modernbert;
  if (model_type == "qwen3") return MlxEmbeddingsModel::qwen3;
  if (model_type == "gemma3_text") return MlxEmbeddingsModel::gemma3;
  return std::nullopt;
}

MlxEmbeddingsLayout::MlxEmbeddingsLayout(const Model& model, const Checkpoint& checkpoint)
    : row_(row_of(model, checkpoint.config())) {
  require_activation(row_, checkpoint.config());
  // What names the head (architectures, modules.json) also says how its sentence vector is pooled.
  if (row_.model == MlxEmbeddingsModel::qwen3 && model.task_logits())
    throw Error(ErrorCode::unsupported,
                checkpoint.config().where() +
                    ": a Qwen3 with a classifier, but mlx-embeddings has no heads; use --layout hf");
  config_ = std::make_shared<const json>(loader_config(row_, model, checkpoint));
  synthesized_ = missing_tensors(row_, model, checkpoint);
}

MlxEmbeddingsModel MlxEmbeddingsLayout::model() const noexcept {
  return row_.model;
}

std::optional<std::string> MlxEmbeddingsLayout::name(std::string_view canonical) const {
  if (adds_model_prefix(row_.model)) {
    const bool qwen3 = row_.model == MlxEmbeddingsModel::qwen3;
    for (const std::string_view part :
         {qwen3 ? "embed_tokens." : "embeddings.", "layers.", qwen3 ? "norm." : "final_norm."})
      if (canonical.starts_with(part)) return "model." + std::string(canonical);
    return std::nullopt;
  }
  for (const std::string_view same : {"embeddings.", "pooler.dense."})
    if (canonical.starts_with(same)) return std::string(canonical);
  if (!canonical.starts_with(row_.layers)) return std::nullopt;
  if (row_.layer_names.empty()) return std::string(canonical);
  const std::string_view in_layers = canonical.substr(row_.layers.size());  // "3.ffn.lin1.weight"
  const size_t dot = in_layers.find('.');
  if (dot == in_layers.npos) return std::nullopt;
  const std::string_view number = in_layers.substr(0, dot), rest = in_layers.substr(dot + 1);
  for (const auto& [ours, theirs] : row_.layer_names)
    if (rest.starts_with(ours))
      return "encoder.layer." + std::string(number) + "." + theirs +
             std::string(rest.substr(std::string_view(ours).size()));
  return std::nullopt;
}

}  // namespace mlxe
