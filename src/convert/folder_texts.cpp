#include "convert/folder_texts.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/hub_folder.h"
#include "convert/model_card.h"
#include "convert/weight_components.h"
#include "convert/written_config.h"
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

std::string config_text(const FolderTextFacts& f) {
  StoredForm form{.scheme = f.global, .any_quantized = f.any_quantized, .dtype = {}, .overrides = {}};
  if (f.options.scheme.mode != Mode::fake) form.dtype = f.options.scheme.dtype;
  const bool for_mlx_embeddings = f.source.mlx_embeddings.has_value();
  for (const PlannedTensor& tensor : f.plan.tensors) {
    if (!is_mlx(tensor.scheme.mode)) continue;
    // mlx-embeddings takes a module of a size that 64 does not divide for a float unless it is named.
    const bool must_be_named = for_mlx_embeddings && element_count(tensor.shape) % 64 != 0;
    if (same_form(tensor.scheme, f.global) && !must_be_named) continue;
    form.overrides[module_or_tensor(tensor.name)] = tensor.scheme;
    if (!for_mlx_embeddings)  // for loaders that strip the prefix
      form.overrides[f.canonical_modules.at(tensor.name)] = tensor.scheme;
  }
  return written_config(
      for_mlx_embeddings ? f.source.mlx_embeddings->config() : f.source.checkpoint.config().json(), form);
}

std::string card_text(const FolderTextFacts& f) {
  const bool with_heads = !f.source.mlx_embeddings;
  const fs::path& folder = f.options.model;
  return model_card({.title = title(folder),
                     // (config.json's "_name_or_path" is what the model was trained from, not what it is.)
                     .base_model = hub_name_of(folder),
                     .front_matter = reusable_front_matter(folder / "README.md"),
                     .model_type = f.source.model.model_type,
                     .layout = f.options.layout,
                     .mode = f.options.scheme.mode,
                     .sentence_model = f.source.sentence.declared,
                     .logits = with_heads ? f.source.model.task_logits() : std::nullopt},
                    f.plan);
}

}  // namespace

std::map<std::string, std::string> folder_texts(const FolderTextFacts& f) {
  std::map<std::string, std::string> texts{
      {"config.json", config_text(f)}, {kIndexFile, index_text(f)}, {"README.md", card_text(f)}};
  // Other readers build no tokenizer of vocabulary files.
  const FolderTokenizer& tokenizer = f.source.tokenizer;
  if (tokenizer.tokenizer && !fs::exists(f.source.checkpoint.transformer_folder() / kTokenizerFile))
    texts[kTokenizerFile] = tokenizer.tokenizer->tokenizer_json();
  if (!f.source.sentence.transformer.empty()) texts[kModulesFile] = modules_text(f.options.model);
  return texts;
}

}  // namespace mlxe
