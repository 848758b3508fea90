#include "verify/settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <variant>

#include "encoder/embed_settings.h"
#include "encoder/score_function.h"
#include "encoder/text_tokenizer.h"
#include "format/json_file.h"
#include "format/model_folder.h"
#include "format/module_files.h"
#include "format/task_adapters.h"

namespace mlxe {
namespace fs = std::filesystem;
namespace {

std::string config_of(const std::string& folder) {
  return (fs::path(folder) / "config.json").lexically_normal().generic_string();
}

class SettingList {
 public:
  SettingList(const LoadedModel& loaded, const Tokenizer* tokenizer)
      : loaded_(loaded),
        sentence_(loaded.sentence),
        config_(loaded.checkpoint.config()),
        tokenizer_(tokenizer) {}

  std::vector<SettingInForce> take() && {
    const bool classifies = loaded_.model.task_logits().has_value();
    if (config_.has(kDefaultTask))
      add("task of the weights", json_string(config_.get<std::string>(kDefaultTask)),
          in_transformer("config.json"));
    if (!classifies || sentence_.declared) add_modules();
    if (sentence_.static_terms)
      add("texts that are looked up", looked_up(), config_of(sentence_.static_terms->folder));
    add_length();
    add("lower case", sentence_.do_lower_case ? "texts are put in lower case" : "as the tokenizer does",
        sentence_.do_lower_case ? sentence_.text_config.generic_string() : "the tokenizer's files");
    add_library_config(classifies);
    if (loaded_.model.has(Output::text_logits))
      add("score function", name(loaded_.score_function),
          score_function_origin(config_, sentence_)
              .value_or(in_transformer("config.json: the number of labels and \"problem_type\"")));
    add_labels("labels", loaded_.model.labels);
    add_labels("token labels", loaded_.model.token_labels);
    return std::move(list_);
  }

 private:
  void add(std::string setting, std::string value, std::string from) {
    list_.push_back({std::move(setting), std::move(value), std::move(from)});
  }

  std::string in_transformer(const std::string& file) const {
    return (sentence_.transformer / file).lexically_normal().generic_string();
  }

  void add_modules() {
    if (sentence_.routes.empty()) add_modules(sentence_.modules, "");
    for (const SentenceRoute& route : sentence_.routes)
      add_modules(route.modules, "route " + route.name + ": ");
  }

  void add_modules(const std::vector<SentenceModuleSpec>& modules, const std::string& route) {
    bool normalizes = false;
    int denses = 0;
    for (const SentenceModuleSpec& module : modules) {
      if (const auto* pooling = std::get_if<PoolingSpec>(&module)) {
        std::vector<std::string> kinds;
        for (const PoolingKind kind : pooling->kinds) kinds.emplace_back(spelling(kind));
        const std::string from =
            sentence_.declared ? config_of(pooling->folder) : "assumed, as sentence-transformers does";
        add(route + "pooling", fmt::format("{}", fmt::join(kinds, " + ")), from);
        if (!pooling->include_prompt) add(route + "pooling of the prompt", "left out", from);
      } else if (const auto* dense = std::get_if<DenseSpec>(&module)) {
        add(fmt::format("{}dense {}", route, ++denses),
            fmt::format("{} -> {}, {}{}{}", dense->in, dense->out, dense->activation,
                        dense->bias ? "" : ", no bias", dense->use_residual ? ", residual" : ""),
            config_of(dense->folder));
      } else {
        normalizes = true;
      }
    }
    add(route + "normalisation", normalizes ? "to length 1" : "none",
        sentence_.declared ? "modules.json" : "assumed, as sentence-transformers does");
  }

  std::string looked_up() const {
    std::vector<std::string> names;
    for (const RouteTask task : kRouteTasks)
      if (sentence_.sparse_route[task] == SparseRoute::fixed) names.emplace_back(words(task).texts);
    return names.empty() ? "none" : fmt::format("{}", fmt::join(names, ", "));
  }

  void add_dimension() {
    if (!loaded_.model.has(Output::sentence)) return;
    const int64_t columns = loaded_.model.plan.columns(Output::sentence);
    const int64_t kept = vector_form({}, sentence_, columns).columns;
    if (kept < columns)
      add("dimension", fmt::format("the first {} of {}", kept, columns), kLibraryConfig);
    else
      add("dimension", std::to_string(columns), "the weights of the last module that has any");
  }

  void add_length() {
    const int64_t of_tokenizer = tokenizer_ ? tokenizer_->model_max_length() : 0;
    const int64_t limit = token_limit(loaded_, of_tokenizer, {});
    std::string from = in_transformer("config.json: the number of positions");
    if (sentence_.max_seq_length && *sentence_.max_seq_length == limit)
      from = sentence_.text_config.generic_string();
    else if (!sentence_.max_seq_length && of_tokenizer == limit)
      from = in_transformer("tokenizer_config.json");
    add("maximum length", fmt::format("{} tokens", limit), std::move(from));
  }

  void add_library_config(bool classifies) {
    const bool there = std::ranges::find(sentence_.files, kLibraryConfig) != sentence_.files.end();
    for (const auto& [prompt, text] : sentence_.prompts)
      add(fmt::format("prompt {}", json_string(prompt)), json_string(text), kLibraryConfig);
    if (sentence_.default_prompt_name)
      add("default prompt", json_string(*sentence_.default_prompt_name), kLibraryConfig);
    if (classifies) return;
    add_dimension();
    add("similarity", name(sentence_.similarity), there ? kLibraryConfig : "assumed: no such setting");
  }

  void add_labels(const char* setting, const std::vector<std::string>& labels) {
    if (labels.empty()) return;
    add(setting, nlohmann::json(labels).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace),
        in_transformer(config_.has("id2label") ? "config.json: id2label" : "config.json: num_labels"));
  }

  const LoadedModel& loaded_;
  const SentenceModules& sentence_;
  const Config& config_;
  const Tokenizer* tokenizer_;
  std::vector<SettingInForce> list_;
};

}  // namespace

std::vector<SettingInForce> settings_in_force(const LoadedModel& model, const Tokenizer* tokenizer) {
  return SettingList(model, tokenizer).take();
}

std::map<std::string, std::string> by_name(const std::vector<SettingInForce>& settings) {
  std::map<std::string, std::string> values;
  for (const SettingInForce& s : settings) values[s.name] = s.value;
  return values;
}

}  // namespace mlxe
