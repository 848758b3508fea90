#include "encoder/score_function.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <string>
#include <utility>

#include "format/json_file.h"
#include "format/module_files.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

constexpr std::array kFunctions{
    std::pair("softmax", ScoreFunction::softmax), std::pair("sigmoid", ScoreFunction::sigmoid),
    std::pair("linear", ScoreFunction::identity), std::pair("tanh", ScoreFunction::tanh),
    std::pair("relu", ScoreFunction::relu)};

struct Setting {
  std::string where, python_class;
};

std::optional<Setting> find_setting(const Config& config, const SentenceModules& sentence) {
  if (sentence.activation_fn)
    return Setting{"config_sentence_transformers.json: \"activation_fn\"", *sentence.activation_fn};
  if (config.has("sentence_transformers")) {
    const Config own = config.object("sentence_transformers");
    if (own.has("activation_fn"))
      return Setting{own.where() + ": \"activation_fn\"", own.get<std::string>("activation_fn")};
  }
  constexpr const char* kOld = "sbert_ce_default_activation_function";
  if (config.has(kOld))
    return Setting{fmt::format("{}: \"{}\"", config.where(), kOld), config.get<std::string>(kOld)};
  return std::nullopt;
}

ScoreFunction pipeline_function(const Model& model) {
  if (model.problem_type == ProblemType::regression) return ScoreFunction::identity;
  const bool picks_one = model.problem_type == ProblemType::single_label && model.labels.size() > 1;
  return picks_one ? ScoreFunction::softmax : ScoreFunction::sigmoid;
}

}  // namespace

const char* name(ScoreFunction function) noexcept {
  constexpr std::array kNames{"softmax", "sigmoid", "identity", "tanh", "relu"};
  return kNames[static_cast<size_t>(function)];
}

ScoreFunction score_function(const Model& model, const Config& config, const SentenceModules& sentence,
                             const Warning& warn) {
  const auto setting = model.has(Output::text_logits) ? find_setting(config, sentence) : std::nullopt;
  if (!setting) return pipeline_function(model);
  if (!setting->python_class.starts_with("torch.")) {
    const ScoreFunction used = model.labels.size() == 1
                                   ? ScoreFunction::sigmoid
                                   : ScoreFunction::identity;  // the default of CrossEncoder
    if (warn)
      warn(fmt::format("{} is {}, no class of torch: {} is used, as sentence-transformers does",
                       setting->where, printable(setting->python_class), name(used)));
    return used;
  }
  const auto spelling = torch_activation(setting->python_class);
  for (const auto& [known, function] : kFunctions)
    if (spelling == known) return function;
  throw Error(ErrorCode::unsupported,
              fmt::format("{} is {}; known are torch's Softmax, Sigmoid, Identity, Tanh, ReLU",
                          setting->where, printable(setting->python_class)));
}

std::optional<std::string> score_function_origin(const Config& config, const SentenceModules& sentence) {
  const std::optional<Setting> setting = find_setting(config, sentence);
  return setting ? std::optional(setting->where) : std::nullopt;
}

ScoreFunction relevance_function(ScoreFunction scores, const Config& config,
                                 const SentenceModules& sentence) {
  return score_function_origin(config, sentence) ? scores : ScoreFunction::sigmoid;
}

std::vector<float> softmax(std::span<const float> logits) {
  const float top = *std::ranges::max_element(logits);
  std::vector<float> p(logits.size());
  double sum = 0;
  for (size_t i = 0; i < p.size(); ++i) sum += p[i] = std::exp(logits[i] - top);
  for (float& v : p) v = static_cast<float>(v / sum);
  return p;
}

std::vector<float> scores_of(std::span<const float> logits, ScoreFunction function) {
  if (function == ScoreFunction::softmax) return softmax(logits);
  std::vector<float> scores(logits.begin(), logits.end());
  for (float& v : scores) switch (function) {
      case ScoreFunction::sigmoid:
        v = 1.0f / (1.0f + std::exp(-v));
        break;
      case ScoreFunction::tanh:
        v = std::tanh(v);
        break;
      case ScoreFunction::relu:
        v = std::max(v, 0.0f);
        break;
      case ScoreFunction::softmax:
      case ScoreFunction::identity:
        break;
    }
  return scores;
}

}  // namespace mlxe
