#include "convert/folder_texts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/hub_folder.h"
#include "convert/mlx_embeddings_layout.h"
#include "convert/reader_config.h"
#include "convert/swift_embedders.h"
#include "convert/weight_components.h"
#include "convert/written_config.h"
#include "format/adapted_folder.h"
#include "format/json_file.h"

namespace mlxe {
namespace fs = std::filesystem;
namespace {

constexpr const char* kModulesFile = "modules.json";

std::string title(const fs::path& folder) {
  const std::string hub = hub_name_of(folder);
  return hub.empty() ? fs::weakly_canonical(fs::absolute(folder)).filename().string()
                     : hub.substr(hub.find('/') + 1);
}

std::string index_text(const FolderTextFacts& f) {
  nlohmann::json map = nlohmann::json::object();
  for (const Shard& shard : f.weights.shards)
    for (const TensorSpec& component : f.weights.components(shard)) map[component.name] = shard.file;
  uint64_t total = 0;
  for (const PlannedTensor& tensor : f.plan.tensors) total += tensor.bytes;
  return pretty(
      {{"metadata", {{"total_parameters", f.plan.parameters}, {"total_size", total}}}, {"weight_map", map}});
}

// For the written folder, where the transformer's files are beside it.
std::string modules_text(const fs::path& model) {
  nlohmann::json modules = read_json(model / kModulesFile);
  modules.at(0)["path"] = "";
  return pretty(modules);
}

bool is_ours(Mode mode) {
  return mode == Mode::int8 || mode == Mode::fake;
}

std::string config_text(const FolderTextFacts& f) {
  StoredForm form{.scheme = f.global, .any_quantized = f.any_quantized, .dtype = {}, .overrides = {}};
  if (f.options.scheme.mode != Mode::fake) form.dtype = f.options.scheme.dtype;
  const bool for_mlx_embeddings = f.source.mlx_embeddings.has_value();
  nlohmann::json config =
      for_mlx_embeddings ? f.source.mlx_embeddings->config() : f.source.checkpoint.config().json();
  const std::optional<MlxEmbeddingsModel> theirs = mlx_embeddings_model(f.source.model.model_type);
  if (!for_mlx_embeddings && !is_ours(form.scheme.mode))
    state_for_readers(config, f.source.model, f.source.checkpoint);
  const auto model_type = config.value("model_type", f.source.model.model_type);
  for (const PlannedTensor& tensor : f.plan.tensors) {
    if (!is_mlx(tensor.scheme.mode)) continue;
    // mlx-embeddings takes a module of a size that 64 does not divide for a float unless it is named.
    const bool must_be_named = (theirs || for_mlx_embeddings) && element_count(tensor.shape) % 64 != 0;
    if (same_form(tensor.scheme, f.global) && !must_be_named) continue;
    const std::string module = module_or_tensor(tensor.name);
    form.overrides[module] = tensor.scheme;
    form.overrides[swift_path(model_type, module)] = tensor.scheme;
    if (for_mlx_embeddings) continue;
    const std::string& canonical = f.canonical_modules.at(tensor.name);
    form.overrides[canonical] = tensor.scheme;  // for loaders that strip the prefix
    if (theirs && adds_model_prefix(*theirs)) form.overrides["model." + canonical] = tensor.scheme;
  }
  return written_config(config, form);
}

bool is_nli(const std::vector<std::string>& labels) {
  return std::ranges::any_of(labels, [](std::string label) {
    std::ranges::transform(label, label.begin(), [](unsigned char c) { return std::tolower(c); });
    return label == "entailment";
  });
}

// Arguments of the program that show what the folder is made for.
std::string example(const ConversionSource& source) {
  const SentenceModules& sentence = source.sentence;
  const Model& model = source.model;
  const char* const embed = R"(embed . "a text")";
  if (source.mlx_embeddings || sentence.declared) return embed;
  if (sentence.splade) return R"(embed-sparse . "a text")";
  if (sentence.late && !sentence.m3) return R"(embed-tokens . --document "a text")";
  if (sentence.cross_encoder && model.labels.size() <= 1) return R"(rerank . "a query" "a document")";
  const std::optional<Output> logits = model.task_logits();
  if (logits == Output::text_logits)
    return is_nli(model.labels) ? R"(classify . "a premise" --pair "a hypothesis")"
                                : R"(classify . "a text")";
  if (logits == Output::token_logits) return R"(tag . "a text")";
  if (logits == Output::span_logits) return R"(qa . --question "a question" "a text with the answer")";
  if (logits == Output::choice_logits) return R"(choose . "a prompt" "a choice" "another choice")";
  const auto& tokenizer = source.tokenizer.tokenizer;
  if (model.has(Output::chosen_logits) && tokenizer && tokenizer->special_ids().mask)
    return fmt::format(R"(fill-mask . "a text with a {}")", tokenizer->token(*tokenizer->special_ids().mask));
  return embed;
}

std::string card_text(const FolderTextFacts& f) {
  CardFacts facts = card_facts(f.options);
  facts.model_type = f.source.model.model_type;
  facts.sentence_model = f.source.sentence.declared;
  facts.example = example(f.source);
  return model_card(facts, f.plan);
}

}  // namespace

CardFacts card_facts(const ConvertOptions& options) {
  const fs::path folder = base_folder(options.model);
  return {.title = title(folder),
          // (config.json's "_name_or_path" is what the model was trained from, not what it is.)
          .base_model = hub_name_of(folder),
          .front_matter = reusable_front_matter(folder / "README.md"),
          .model_type = {},
          .layout = options.layout,
          .mode = options.scheme.mode,
          .sentence_model = false,
          .example = {}};
}

std::map<std::string, std::string> folder_texts(const FolderTextFacts& f) {
  std::map<std::string, std::string> texts{
      {"config.json", config_text(f)}, {kIndexFile, index_text(f)}, {"README.md", card_text(f)}};
  // Other readers build no tokenizer of vocabulary files.
  const FolderTokenizer& tokenizer = f.source.tokenizer;
  if (tokenizer.tokenizer && !fs::exists(f.source.checkpoint.transformer_folder() / kTokenizerFile))
    texts[kTokenizerFile] = tokenizer.tokenizer->tokenizer_json();
  if (!f.source.sentence.transformer.empty()) texts[kModulesFile] = modules_text(f.options.model);
  for (const auto& [file, text] : f.source.rewritten) texts[file] = text;
  return texts;
}

}  // namespace mlxe
