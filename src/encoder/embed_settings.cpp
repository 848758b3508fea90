#include "encoder/embed_settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <variant>

#include "format/json_file.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

std::string prompt_of_task(EmbedTask task, const SentenceModules& sentence,
                           const std::function<void(const std::string&)>& note) {
  const auto text_of = [&](const std::string& name) {
    const auto found = sentence.prompts.find(name);
    return found == sentence.prompts.end() ? std::string() : found->second;
  };
  const std::string wanted = task == EmbedTask::query ? "query" : "document";
  std::string text = text_of(wanted);
  if (!text.empty()) return text;
  const auto tell = [&](const std::string& name) {
    note(
        fmt::format("the model has no prompt for a {0}, so none was used, as in sentence-transformers' "
                    "encode_{0}(); its prompt {1} "
                    "is used if it is named",
                    wanted, printable(name)));
  };
  if (task == EmbedTask::document)
    for (const char* name : {"passage", "corpus"})
      if (!text_of(name).empty()) {
        tell(name);
        return text;
      }
  if (!default_prompt(sentence, PromptUse::embedding).empty()) tell(*sentence.default_prompt_name);
  return text;
}

}  // namespace

std::string prompt_text(const EmbedOptions& options, const SentenceModules& sentence,
                        const std::function<void(const std::string&)>& note) {
  const std::string& chosen = options.prompt_name;
  if (options.prompt && !chosen.empty())
    throw Error(
        ErrorCode::usage,
        fmt::format("a literal prompt and the prompt name \"{}\" were given; give one of the two", chosen));
  if (options.task != EmbedTask::any && sentence.routes.empty() && (options.prompt || !chosen.empty()))
    throw Error(
        ErrorCode::usage,
        fmt::format("the task {} and {} were given; give one of the two, because a task stands for a prompt",
                    options.task == EmbedTask::query ? "query" : "document",
                    options.prompt ? "a literal prompt" : "the prompt name \"" + chosen + "\""));
  if (options.prompt) return *options.prompt;
  if (options.task != EmbedTask::any && chosen.empty()) return prompt_of_task(options.task, sentence, note);
  if (chosen.empty()) return default_prompt(sentence, PromptUse::embedding);
  const auto found = sentence.prompts.find(chosen);
  if (found != sentence.prompts.end()) return found->second;
  std::string known;
  for (const auto& [key, text] : sentence.prompts) known += (known.empty() ? "" : ", ") + key;
  throw Error(ErrorCode::usage,
              fmt::format("prompt \"{}\": this model has {} a literal prompt", chosen,
                          known.empty() ? "no prompts; give"
                                        : "the prompts " + known + "; name one of them or give"));
}

RouteTask route_task(EmbedTask task) noexcept {
  switch (task) {
    case EmbedTask::query:
      return RouteTask::query;
    case EmbedTask::document:
      return RouteTask::document;
    case EmbedTask::any:
      break;
  }
  return RouteTask::none;
}

Output sentence_output(EmbedTask task, const SentenceModules& sentence) {
  const RouteTask route = route_task(task);
  sentence.modules_for(route);  // there is a route
  if (!sentence.own_route(route)) return Output::sentence;
  return task == EmbedTask::query ? Output::query_sentence : Output::document_sentence;
}

VectorForm vector_form(const EmbedOptions& options, const SentenceModules& sentence, int64_t columns) {
  return vector_form(options, sentence, sentence.modules, columns);
}

VectorForm vector_form(const EmbedOptions& options, const SentenceModules& sentence,
                       std::span<const SentenceModuleSpec> modules, int64_t columns) {
  if (options.dimension < 0 || options.dimension > columns)
    throw Error(ErrorCode::usage,
                fmt::format("dimension {}: the model's vectors have {} values; give 1 to {}",
                            options.dimension, columns, columns));
  const int64_t own = std::min(columns, sentence.truncate_dim.value_or(columns));
  const int64_t kept = options.dimension > 0 ? options.dimension : own;
  const bool unit = !modules.empty() && std::holds_alternative<NormalizeSpec>(modules.back());
  return {kept, options.normalize || (unit && kept < columns)};
}

void VectorForm::take(std::span<const float> row, std::span<float> out) const {
  row = row.first(static_cast<size_t>(columns));
  if (!normalize) {
    std::ranges::copy(row, out.begin());
    return;
  }
  double sum = 0;
  for (const float v : row) sum += static_cast<double>(v) * v;
  const auto length = static_cast<float>(std::max(std::sqrt(sum), 1e-12));
  for (size_t i = 0; i < row.size(); ++i) out[i] = row[i] / length;
}

}  // namespace mlxe
