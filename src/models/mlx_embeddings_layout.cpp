#include "models/mlx_embeddings_layout.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "format/json_file.h"
#include "mlx_encoder/error.h"
#include "tokenizer/tokenizer.h"

namespace mlxe {
namespace {

using nlohmann::json;

// DistilBertModel is a BertModel without token types: the same computation under other names.
constexpr std::pair<std::string_view, std::string_view> kDistilBertLayer[] = {
    {"attention.q_lin.", "attention.self.query."},
    {"attention.k_lin.", "attention.self.key."},
    {"attention.v_lin.", "attention.self.value."},
    {"attention.out_lin.", "attention.output.dense."},
    {"sa_layer_norm.", "attention.output.LayerNorm."},
    {"ffn.lin1.", "intermediate.dense."},
    {"ffn.lin2.", "output.dense."},
    {"output_layer_norm.", "output.LayerNorm."},
};

constexpr std::pair<const char*, const char*> kDistilBertConfig[] = {
    {"dim", "hidden_size"},
    {"n_layers", "num_hidden_layers"},
    {"n_heads", "num_attention_heads"},
    {"hidden_dim", "intermediate_size"},
    {"activation", "hidden_act"},
    {"dropout", "hidden_dropout_prob"},
    {"attention_dropout", "attention_probs_dropout_prob"},
};

std::optional<std::string> bert_name(std::string_view canonical) {
  for (const std::string_view part : {"embeddings.", "encoder.layer.", "pooler.dense."})
    if (canonical.starts_with(part)) return std::string(canonical);
  return std::nullopt;
}

std::optional<std::string> name_from_distilbert(std::string_view canonical) {
  if (canonical.starts_with("embeddings.")) return std::string(canonical);
  constexpr std::string_view kLayer = "transformer.layer.";
  if (!canonical.starts_with(kLayer)) return std::nullopt;
  const size_t dot = canonical.find('.', kLayer.size());
  if (dot == canonical.npos) return std::nullopt;
  const std::string_view index = canonical.substr(kLayer.size(), dot - kLayer.size());
  const std::string_view rest = canonical.substr(dot + 1);
  for (const auto& [theirs, berts] : kDistilBertLayer)
    if (rest.starts_with(theirs))
      return "encoder.layer." + std::string(index) + "." + std::string(berts) +
             std::string(rest.substr(theirs.size()));
  return std::nullopt;
}

// Whether the folder's tokenizer, if it has one, tells upper from lower case.
bool keeps_case(const std::filesystem::path& folder) try {
  const Tokenizer tokenizer = Tokenizer::load(folder, {});
  return tokenizer.encode("A").ids != tokenizer.encode("a").ids;
} catch (const Error&) {
  return false;
}

json bert_config_of_distilbert(const json& source) {
  json config = source;
  for (const auto& [theirs, berts] : kDistilBertConfig) {
    const auto it = config.find(theirs);
    if (it == config.end()) continue;
    config[berts] = *it;
    config.erase(theirs);
  }
  for (const char* key : {"qa_dropout", "seq_classif_dropout", "sinusoidal_pos_embds", "tie_weights_"})
    config.erase(key);
  config["type_vocab_size"] = 2;
  config["layer_norm_eps"] = 1e-12;  // fixed in DistilBERT
  return config;
}

// AutoTokenizer goes by model_type where nothing names the class: then it must be named.
bool names_its_tokenizer(const Checkpoint& checkpoint) {
  const auto file = checkpoint.transformer_folder() / "tokenizer_config.json";
  if (!std::filesystem::exists(file)) return false;
  const json config = read_json(file);
  return config.is_object() && config.contains("tokenizer_class") && config["tokenizer_class"].is_string();
}

}  // namespace

MlxEmbeddingsLayout::MlxEmbeddingsLayout(const Model& model, const Checkpoint& checkpoint)
    : distilbert_(model.model_type == "distilbert") {
  const Config& source = checkpoint.config();
  // The reader has two models. Which of them computes what an architecture computes:
  constexpr std::pair<std::string_view, bool> kIsRoberta[] = {{"bert", false},       {"distilbert", false},
                                                              {"roberta", true},     {"xlm-roberta", true},
                                                              {"xlm_roberta", true}, {"camembert", true}};
  const auto* row =
      std::ranges::find(kIsRoberta, model.model_type, &std::pair<std::string_view, bool>::first);
  if (row == std::end(kIsRoberta))
    throw Error(ErrorCode::unsupported, source.where() + ": mlx-embeddings has no model that computes what " +
                                            model.model_type + " does; use --layout hf");
  const bool roberta = row->second;
  const int64_t hidden = model.hidden_size();

  const char* key = distilbert_ ? "activation" : "hidden_act";
  const auto spelling = source.get_or<std::string>(key, "gelu");
  const std::string where = source.where() + ": \"" + key + "\"";
  if (parse_activation(spelling, where) != Activation::gelu_erf)
    throw Error(ErrorCode::unsupported,
                where + " is \"" + spelling +
                    "\", but mlx-embeddings computes exact GELU in every model; use --layout hf");

  json config = distilbert_ ? bert_config_of_distilbert(source.json()) : source.json();
  config["architectures"] = json::array({roberta ? "XLMRobertaModel" : "BertModel"});
  config["model_type"] = roberta ? "xlm-roberta" : "bert";
  for (const char* of_a_head : {"finetuning_task", "id2label", "label2id", "num_labels", "problem_type"})
    config.erase(of_a_head);
  if (!distilbert_) {  // the reader's defaults are not transformers'
    config["type_vocab_size"] = model.token_types();
    config["layer_norm_eps"] = source.non_negative_number_or("layer_norm_eps", 1e-12);
  }
  const bool has_pooler = checkpoint.has("pooler.dense.weight");
  if (roberta) {
    config["pad_token_id"] = source.get_or<int64_t>("pad_token_id", 1);
    config["add_pooling_layer"] = has_pooler;
    const bool named = names_its_tokenizer(checkpoint);
    if (model.model_type == "roberta" && !named) config["tokenizer_class"] = "RobertaTokenizer";
    if (model.model_type == "camembert" && !named) config["tokenizer_class"] = "CamembertTokenizer";
  } else if (!has_pooler) {
    const std::string why = "mlx-embeddings asks for a pooler, the model has none";
    made_up_.push_back(
        {"pooler.dense.weight", {hidden, hidden}, Role::linear, MadeUpTensor::Fill::identity, why});
    made_up_.push_back({"pooler.dense.bias", {hidden}, Role::bias, MadeUpTensor::Fill::zeros, why});
  }
  if (distilbert_)
    made_up_.push_back({"embeddings.token_type_embeddings.weight",
                        {2, hidden},
                        Role::token_type_embedding,
                        MadeUpTensor::Fill::zeros,
                        "BERT has token types, DistilBERT none"});
  config_ = std::make_shared<const json>(std::move(config));
}

std::optional<std::string> MlxEmbeddingsLayout::name(std::string_view canonical) const {
  return distilbert_ ? name_from_distilbert(canonical) : bert_name(canonical);
}

std::vector<std::string> MlxEmbeddingsLayout::caveats(const SentenceModules& sentence,
                                                      const std::filesystem::path& folder) const {
  std::vector<std::string> caveats;
  if (sentence.do_lower_case && keeps_case(folder))
    caveats.push_back(
        "mlx-embeddings does not read sentence_bert_config.json, whose do_lower_case asks for texts in lower "
        "case; "
        "give it such");
  if (!sentence.declared) return caveats;
  if (!std::holds_alternative<PoolingSpec>(sentence.modules.front()))
    caveats.push_back(
        "mlx-embeddings pools the token vectors as the encoder gives them; this model has modules between, "
        "so "
        "apply them to its last_hidden_state and pool that yourself");
  for (const SentenceModuleSpec& module : sentence.modules) {
    const auto* pooling = std::get_if<PoolingSpec>(&module);
    if (pooling && pooling->kinds != std::vector{PoolingKind::mean})
      caveats.push_back(
          "mlx-embeddings averages the token vectors whatever 1_Pooling says; this model pools otherwise, so "
          "take its last_hidden_state and pool it yourself");
  }
  return caveats;
}

}  // namespace mlxe
