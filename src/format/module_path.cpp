#include "format/module_path.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "format/json_file.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace fs = std::filesystem;

std::string module_folder(const Config& entry) {
  const auto path = entry.get<std::string>("path");
  const fs::path relative = fs::path(path).lexically_normal();
  if (relative.is_absolute() || (!relative.empty() && *relative.begin() == "..") ||
      path.find('\0') != path.npos)
    throw Error(ErrorCode::format, fmt::format("{}: \"path\" is {}, expected a folder inside the model's",
                                               entry.where(), printable(path)));
  return path;
}

fs::path transformer_path(const fs::path& folder) {
  const fs::path file = folder / "modules.json";
  if (!fs::exists(file)) return {};
  const nlohmann::json list = read_json(file);
  if (!list.is_array() || list.empty()) return {};  // read_sentence_modules reports the error
  const Config first(list[0], fmt::format("{}: module 0", file.string()));
  const auto type = first.get<std::string>("type");
  for (const char* kind : {".Router", ".Asym", ".StaticEmbedding"})
    if (type.starts_with("sentence_transformers.") && type.ends_with(kind))
      throw Error(
          ErrorCode::unsupported,
          fmt::format("{}: found {}, expected a Transformer; {}", first.where(), printable(type),
                      std::string_view(kind) == ".StaticEmbedding"
                          ? "models of token vectors alone (model2vec) are not implemented"
                          : "a Router is implemented behind one Transformer that all routes share, not with "
                            "encoders of its own in each route"));
  if (!type.ends_with(".Transformer") && !type.ends_with(".MLMTransformer")) return {};
  fs::path path = fs::path(module_folder(first)).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();  // "0_Transformer/"
  return path == "." ? fs::path() : path;
}

std::optional<fs::path> logit_score_folder(const fs::path& folder) {
  const fs::path file = folder / "modules.json";
  const nlohmann::json list = read_json(file);
  if (!list.is_array()) return std::nullopt;  // read_sentence_modules reports the error
  for (const nlohmann::json& entry : list) {
    const Config module(entry, fmt::format("{}: a module", file.string()));
    const auto type = module.get<std::string>("type");
    if (type.starts_with("sentence_transformers.") && type.ends_with(".LogitScore"))
      return fs::path(module_folder(module)).lexically_normal();
  }
  return std::nullopt;
}

}  // namespace mlxe
