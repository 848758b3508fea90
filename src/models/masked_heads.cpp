#include "models/masked_heads.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/wording.h"
#include "models/config_readers.h"
#include "models/modernbert.h"
#include "models/tied_tensors.h"

namespace mlxe {
namespace {

float epsilon(const Config& c, double otherwise) {
  return static_cast<float>(c.non_negative_number_or("layer_norm_eps", otherwise));
}

HeadTransform transform(const char* dense, Activation activation, const char* norm, float epsilon,
                        Bias bias = Bias::yes) {
  return {.dense = dense,
          .activation = activation,
          .bias = bias,
          .norm = HeadTransform::Norm{.name = norm, .epsilon = epsilon, .bias = Bias::yes}};
}

// Whether config.json names such a class. Of a head without tensors of its own nothing else tells.
bool is_masked_language_model(const Config& config) {
  const nlohmann::json& keys = config.json();
  const auto classes = keys.find("architectures");
  return classes != keys.end() && classes->is_array() &&
         std::ranges::any_of(*classes, [](const nlohmann::json& name) {
           return name.is_string() && name.get_ref<const std::string&>().ends_with("ForMaskedLM");
         });
}

std::vector<std::string> tensors_of(const MaskedLanguageModel& head) {
  const HeadTransform& t = head.transform;
  std::vector<std::string> names;
  if (!t.dense.empty()) names.push_back(t.dense + ".weight");
  if (!t.dense.empty() && t.bias == Bias::yes) names.push_back(t.dense + ".bias");
  if (t.norm) names.push_back(t.norm->name + ".weight");
  if (t.norm && t.norm->bias == Bias::yes) names.push_back(t.norm->name + ".bias");
  if (!head.tied) names.push_back(head.decoder + ".weight");
  if (!head.rest.empty()) names.push_back(head.rest + ".weight");
  if (!head.bias.empty()) names.push_back(head.bias);
  return names;
}

}  // namespace

MaskedLanguageModel bert_masked_head(const Config& c) {
  return {.transform = transform("cls.predictions.transform.dense", read_activation(c, "hidden_act", "gelu"),
                                 "cls.predictions.transform.LayerNorm", epsilon(c, 1e-12)),
          .decoder = "cls.predictions.decoder",
          .bias = "cls.predictions.bias",
          .tied = ties_words(c)};
}

MaskedLanguageModel mobilebert_masked_head(const Config& c) {
  MaskedLanguageModel head = bert_masked_head(c);
  head.transform.activation = read_activation(c, "hidden_act", "relu");
  if (c.positive_or("embedding_size", 128) < c.positive("hidden_size")) head.rest = "cls.predictions.dense";
  return head;
}

MaskedLanguageModel roberta_masked_head(const Config& c) {
  return {
      .transform = transform("lm_head.dense", Activation::gelu_erf, "lm_head.layer_norm", epsilon(c, 1e-12)),
      .decoder = "lm_head.decoder",
      .bias = "lm_head.bias",
      .tied = ties_words(c)};
}

MaskedLanguageModel distilbert_masked_head(const Config& c) {
  return {.transform = transform("vocab_transform", read_activation(c, "activation", "gelu"),
                                 "vocab_layer_norm", 1e-12f),
          .decoder = "vocab_projector",
          .bias = "vocab_projector.bias",
          .tied = ties_words(c)};
}

MaskedLanguageModel albert_masked_head(const Config& c) {
  return {.transform = transform("predictions.dense", read_activation(c, "hidden_act", "gelu_new"),
                                 "predictions.LayerNorm", epsilon(c, 1e-12)),
          .decoder = "predictions.decoder",
          .bias = "predictions.bias",
          .tied = ties_words(c)};
}

MaskedLanguageModel electra_masked_head(const Config& c) {
  return {.transform = transform("generator_predictions.dense", Activation::gelu_erf,
                                 "generator_predictions.LayerNorm", epsilon(c, 1e-12)),
          .decoder = "generator_lm_head",
          .bias = "generator_lm_head.bias",
          .tied = ties_words(c)};
}

MaskedLanguageModel modernbert_masked_head(const Config& c) {
  return {.transform = modernbert_transform(c),
          .decoder = "decoder",
          .bias = c.get_or<bool>("decoder_bias", true) ? "decoder.bias" : "",
          .tied = ties_words(c)};
}

// With "legacy": false, transformers has another head, and cannot load what it saved. It is not computed, and tensors
// under these names are not its own.
MaskedLanguageModel deberta_masked_head(const Config& c) {
  MaskedLanguageModel head = bert_masked_head(c);
  head.transform.norm->epsilon = epsilon(c, 1e-7);
  head.is_known = c.get_or<bool>("legacy", true);
  return head;
}

MaskedLanguageModel eurobert_masked_head(const Config& c) {
  return {.transform = {},
          .decoder = "lm_head",
          .bias = bias_if(c, "mlp_bias") == Bias::yes ? "lm_head.bias" : "",
          .tied = c.get_or<bool>("tie_word_embeddings", false)};
}

// As published, the head has no biases but that of its norm; as transformers 5 writes it, it has all.
MaskedLanguageModel nomic_bert_masked_head(const Config& c) {
  const Bias bias = c.has("mlp_fc1_bias") ? Bias::no : Bias::yes;
  return {.transform = transform("cls.predictions.transform.dense", read_activation(c, "hidden_act", "silu"),
                                 "cls.predictions.transform.layer_norm",
                                 epsilon(c, c.non_negative_number_or("layer_norm_epsilon", 1e-12)), bias),
          .decoder = "cls.predictions.decoder",
          .bias = bias == Bias::yes ? "cls.predictions.bias" : "",
          .tied = ties_words(c)};
}

MaskedLanguageModel gte_masked_head(const Config& c) {
  return {.transform = transform("lm_head.dense", read_activation(c, "hidden_act", "gelu"), "lm_head.norm",
                                 epsilon(c, 1e-12)),
          .decoder = "lm_head.decoder",
          .bias = "lm_head.decoder.bias",
          .tied = ties_words(c)};
}

std::optional<MaskedLanguageModel> stored_masked_head(MaskedLanguageModel head, const Checkpoint& checkpoint,
                                                      const Warning& warn) {
  if (!head.is_known) return std::nullopt;
  const std::vector<std::string> own = tensors_of(head);
  if (own.empty() ? !is_masked_language_model(checkpoint.config()) : !checkpoint.has(own[0]))
    return std::nullopt;
  // One parameter with two names.
  if (const std::string other = head.decoder + ".bias";
      !head.bias.empty() && !checkpoint.has(head.bias) && checkpoint.has(other))
    head.bias = other;
  std::vector<std::string> missing;
  for (const std::string& name : tensors_of(head))
    if (!checkpoint.has(name)) missing.push_back(name);
  if (missing.empty()) return head;
  if (warn)
    warn(fmt::format("{}: has {}, but not {}: the masked language model's head is not computed",
                     checkpoint.folder().string(), own[0], listed(missing, 3)));
  return std::nullopt;
}

}  // namespace mlxe
