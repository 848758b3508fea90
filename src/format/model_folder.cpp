#include "format/model_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "base/file_errors.h"
#include "base/utf8.h"
#include "base/wording.h"
#include "format/adapter_config.h"
#include "format/json_file.h"
#include "format/late_interaction.h"
#include "format/m3_heads.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace fs = std::filesystem;
namespace {

constexpr size_t kOthersListed = 5;  // most names in a message

constexpr std::string_view kWeightNames[] = {"model",      "pytorch_model", "tf_model",       "flax_model",
                                             "rust_model", "adapter_model", "openvino_model", "weights"};
constexpr std::string_view kWeightEndings[] = {".safetensors", ".index.json", ".bin", ".pt", ".pth",
                                               ".onnx",        ".onnx_data",  ".h5",  ".ot", ".msgpack",
                                               ".xml",         ".npz",        ".gguf"};
// In the model's folder, and in the folders of its modules.
constexpr std::string_view kModuleFiles[] = {"config.json",
                                             kRouterConfig,
                                             "sentence_bert_config.json",
                                             "tokenizer.json",
                                             "tokenizer_config.json",
                                             "special_tokens_map.json",
                                             "added_tokens.json",
                                             "vocab.json",
                                             "vocab.txt",
                                             "merges.txt",
                                             "spiece.model",
                                             "spm.model",
                                             "tokenizer.model",
                                             "sentencepiece.bpe.model",
                                             ".DS_Store"};
// In the model's folder alone.
constexpr std::string_view kModelFiles[] = {kProvenanceFile,
                                            kGoldenFile,
                                            kRecipeFile,
                                            kParetoFile,
                                            "README.md",
                                            "chat_template.jinja",
                                            "generation_config.json",
                                            "preprocessor_config.json",
                                            "processor_config.json",
                                            "quantize_config.json",
                                            "modules.json",
                                            kLibraryConfig,
                                            kM3Files[0],
                                            kM3Files[1],
                                            kStanfordFile,
                                            kAdapterConfig,
                                            "adapters.safetensors",  // of mlx-lm
                                            "data_config.json",
                                            "train_script.py",  // sentence-transformers' own models have it
                                            ".gitattributes"};
constexpr std::string_view kBeginnings[] = {"LICENSE", "LICENCE", "NOTICE", "COPYING"};

bool starts_with_any(std::string_view name, std::span<const std::string_view> beginnings) {
  return std::any_of(beginnings.begin(), beginnings.end(),
                     [&](std::string_view beginning) { return name.starts_with(beginning); });
}

bool is_one_of(std::string_view name, std::span<const std::string_view> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool is_of_module(std::string_view name) {
  return is_weight_file_name(name) || is_one_of(name, kModuleFiles);
}

bool is_of_model(std::string_view name) {
  return is_of_module(name) || is_one_of(name, kModelFiles) || starts_with_any(name, kBeginnings);
}

nlohmann::json json_or_null(const fs::path& file) {
  if (!fs::is_regular_file(file)) return nullptr;
  try {
    return read_json(file);
  } catch (const Error&) {  // unreadable: not a model folder
    return nullptr;
  }
}

// The files that mlx_encoder.json names, relative to the folder.
std::set<std::string> written_files(const nlohmann::json& provenance) {
  std::set<std::string> files;
  if (!provenance.is_object()) return files;
  const auto output = provenance.find("output");
  if (output == provenance.end() || !output->is_object()) return files;
  for (const auto& [file, print] : output->items()) files.insert(file);
  return files;
}

// The folders of the modules of a Router: "2_Router/query_0_Dense".
void add_route_folders(const fs::path& folder, const fs::path& router, std::set<fs::path>& folders) {
  nlohmann::json config = json_or_null(folder / router / kRouterConfig);
  if (!config.is_object()) config = json_or_null(folder / router / "config.json");  // of an Asym
  if (!config.is_object() || !config.contains("types") || !config["types"].is_object()) return;
  for (const auto& [module, type] : config["types"].items())
    if (module.find('/') == std::string::npos && module != "..")
      folders.insert(module.empty() ? router : router / module);
}

// The folders that modules.json names, and those of routes: "1_Pooling".
std::set<fs::path> module_folders(const fs::path& folder) {
  std::set<fs::path> folders;
  const nlohmann::json modules = json_or_null(folder / "modules.json");
  if (!modules.is_array()) return folders;
  for (const nlohmann::json& module : modules)
    if (module.is_object() && module.contains("path") && module["path"].is_string()) {
      const fs::path path =
          (fs::path(module["path"].get<std::string>()) / "").lexically_normal().parent_path();
      folders.insert(path);
      add_route_folders(folder, path, folders);
    }
  return folders;
}

// In the folder itself, or in one of a module: an encoder's.
void require_a_model(const fs::path& folder, const nlohmann::json& provenance) {
  const auto refuse = [&](const char* lack) {
    throw Error(
        ErrorCode::usage,
        fmt::format("{}: exists and is not a model folder (no {}), so it is not replaced; choose another",
                    folder.string(), lack));
  };
  std::set<fs::path> places = module_folders(folder);
  places.insert(fs::path());
  bool has_config = false, has_weights = !provenance.is_null();
  for (const fs::path& place : places) {
    const nlohmann::json config = json_or_null(folder / place / "config.json");
    has_config |= config.is_object() && config.contains("model_type") && config["model_type"].is_string();
    if (!fs::is_directory(folder / place)) continue;
    for (const fs::directory_entry& entry : fs::directory_iterator(folder / place))
      has_weights |= is_weight_file_name(entry.path().filename().string());
  }
  if (!has_config) refuse("config.json with a model_type");
  if (!has_weights) refuse("weights");
}

bool is_two_hex_digits(std::string_view text) {
  return text.size() == 2 && std::isxdigit(static_cast<unsigned char>(text[0])) != 0 &&
         std::isxdigit(static_cast<unsigned char>(text[1])) != 0;
}

}  // namespace

std::string provenance_name(std::string_view path) {
  std::string name;
  while (!path.empty()) {
    const size_t bad = std::min(first_invalid_utf8(path), path.size());
    for (const char c : path.substr(0, bad)) name += c == '\\' ? std::string("\\\\") : std::string(1, c);
    if (bad == path.size()) break;
    name += fmt::format("\\x{:02X}", static_cast<unsigned char>(path[bad]));
    path.remove_prefix(bad + 1);
  }
  return name;
}

std::string provenance_path(std::string_view name) {
  std::string path;
  for (size_t i = 0; i < name.size(); ++i) {
    if (name[i] == '\\' && i + 3 < name.size() && name[i + 1] == 'x' &&
        is_two_hex_digits(name.substr(i + 2, 2))) {
      path += static_cast<char>(std::stoi(std::string(name.substr(i + 2, 2)), nullptr, 16));
      i += 3;
    } else {
      if (name[i] == '\\' && i + 1 < name.size()) ++i;
      path += name[i];
    }
  }
  return path;
}

bool is_weight_file_name(std::string_view name) {
  return starts_with_any(name, kWeightNames) &&
         std::any_of(std::begin(kWeightEndings), std::end(kWeightEndings),
                     [&](std::string_view ending) { return name.ends_with(ending); });
}

ModelFiles::ModelFiles(const fs::path& folder)
    : folder_(folder),
      written_(written_files(json_or_null(folder / kProvenanceFile))),
      modules_(module_folders(folder)) {}

bool ModelFiles::has(const fs::path& file) const {
  const std::string name = file.filename().string(), path = file.generic_string();
  if (written_.contains(provenance_name(path)) || path.starts_with(".cache/huggingface/")) return true;
  return file.has_parent_path() ? modules_.contains(file.parent_path()) && is_of_module(name)
                                : is_of_model(name);
}

std::vector<fs::path> ModelFiles::found() const {
  std::set<fs::path> files;
  std::error_code failed;
  for (const std::string& name : written_)
    if (const fs::path file = provenance_path(name); fs::exists(folder_ / file, failed)) files.insert(file);
  std::set<fs::path> places = modules_;
  places.insert(fs::path());
  for (const fs::path& place : places) {
    fs::directory_iterator entry(folder_ / place, failed), end;
    for (; !failed && entry != end; entry.increment(failed))
      if (const fs::path file = place / entry->path().filename(); has(file)) files.insert(file);
  }
  return {files.begin(), files.end()};
}

void require_only_a_model(const fs::path& folder) {
  require_a_model(folder, json_or_null(folder / kProvenanceFile));
  const ModelFiles files(folder);
  std::vector<std::string> others;
  walk(folder, [&](const fs::directory_entry& entry) {
    if (entry.is_directory() && !entry.is_symlink()) return;
    const fs::path file = entry.path().lexically_relative(folder);
    if (!files.has(file)) others.push_back(file.generic_string());
  });
  if (others.empty()) return;
  std::sort(others.begin(), others.end());
  throw Error(ErrorCode::usage,
              fmt::format("{}: holds files that are no part of its model, so the folder stays as it is; move "
                          "them or choose another folder: {}",
                          folder.string(), listed(others, kOthersListed)));
}

}  // namespace mlxe
