// Which files belong to a model folder. Checked before a folder is replaced.
#pragma once

#include <filesystem>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace mlxe {

// Settings of sentence-transformers for a whole model: prompts, similarity, truncate_dim.
inline constexpr const char* kLibraryConfig = "config_sentence_transformers.json";

// The routes of a Router, in its module's folder.
inline constexpr const char* kRouterConfig = "router_config.json";

// Written by conversions, beside config.json, README.md and the weights.
inline constexpr const char* kProvenanceFile = "mlx_encoder.json";     // convert/provenance.h
inline constexpr const char* kGoldenFile = "mlx_encoder_golden.json";  // verify/golden.h
inline constexpr const char* kRecipeFile = "mlx_encoder_recipe.json";  // docs/mixed.md
inline constexpr const char* kParetoFile = "mlx_encoder_pareto.svg";

// Escapes a path for mlx_encoder.json, and back: a byte that is not UTF-8 becomes `\xE7`, a backslash two.
std::string provenance_name(std::string_view path);
std::string provenance_path(std::string_view name);

// "model-00001-of-00002.safetensors", "tf_model.h5", an index: weights in any format, by the name alone.
bool is_weight_file_name(std::string_view name);

// The files that belong to the model of a folder: those that mlx_encoder.json names; with the names that Hugging
// Face's tools use, those in the folder itself and, fewer, those in the folders that modules.json names; the
// cache of a download. A file in another subfolder, such as another model's, belongs to something else.
class ModelFiles {
 public:
  explicit ModelFiles(const std::filesystem::path& folder);
  bool has(const std::filesystem::path& file) const;  // relative to the folder
  // The folders that modules.json names, and those of routes; "" is the folder itself.
  const std::set<std::filesystem::path>& modules() const noexcept { return modules_; }
  // Those that exist, each once, relative to the folder, without the cache of a download. Skips what cannot be read.
  std::vector<std::filesystem::path> found() const;

 private:
  std::filesystem::path folder_;
  std::set<std::string> written_;  // as mlx_encoder.json spells them
  std::set<std::filesystem::path> modules_;
};

// Throws unless the folder is a model folder and holds nothing else. A model folder has a config.json with
// a model_type, and weights or mlx_encoder.json; a Router's in the folder of an encoder. Errors: usage (names the other files), io.
void require_only_a_model(const std::filesystem::path& folder);

}  // namespace mlxe
