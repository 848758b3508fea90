#include "format/module_path.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <vector>

#include "base/wording.h"
#include "format/encoder_routes.h"
#include "format/json_file.h"
#include "format/model_folder.h"
#include "format/static_embedding.h"
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

namespace {

// "0_Transformer/" -> "0_Transformer"; "" for the folder itself.
fs::path plain_folder(const fs::path& relative) {
  fs::path path = relative.lexically_normal();
  if (!path.has_filename()) path = path.parent_path();
  return path == "." ? fs::path() : path;
}

bool is_transformer(std::string_view type) noexcept {
  return type.ends_with(".Transformer") || type.ends_with(".MLMTransformer");
}

// Where a route was made a model of its own, or was converted.
bool has_static_config(const fs::path& folder) {
  const fs::path file = folder / "config.json";
  if (!fs::exists(file)) return false;
  const nlohmann::json config = read_json(file);
  return config.is_object() && config.value("model_type", nlohmann::json()) == kStaticModelType;
}

// Of a folder that begins with a Router: the only transformer in its routes.
fs::path routed_transformer(const fs::path& folder, const Config& first) {
  if (const auto routes = encoder_routes(folder)) {
    const std::vector<std::string> names = routes->names();
    throw Error(
        ErrorCode::unsupported,
        fmt::format("{}: has a Router with an encoder in each route, expected one model; choose the route "
                    "with --task (task_model() in the library): {}",
                    folder.string(), listed(names, names.size())));
  }
  const fs::path router = module_folder(first), file = folder / router / kRouterConfig;
  std::vector<std::string> found;
  if (router.empty() && fs::exists(file)) {
    const Config config = Config::read(file), types = config.object("types");
    for (const auto& [id, type] : types.json().items())
      if (is_transformer(types.get<std::string>(id))) found.push_back(id);
  }
  if (found.size() == 1 && found[0].find('/') == std::string::npos && found[0] != "..")
    return plain_folder(router / found[0]);
  throw Error(
      ErrorCode::unsupported,
      fmt::format(
          "{}: found {}, expected a Transformer; a Router is implemented behind one Transformer that all "
          "routes share, with an encoder (Transformer, StaticEmbedding) first in each route, or with one "
          "Transformer beside routes of a SparseStaticEmbedding",
          first.where(), printable(first.get<std::string>("type"))));
}

}  // namespace

bool is_static_embedding(std::string_view type) noexcept {
  return type.starts_with("sentence_transformers.") && type.ends_with(".StaticEmbedding");
}

bool is_encoder(std::string_view type) noexcept {
  return is_transformer(type) || is_static_embedding(type);
}

fs::path transformer_path(const fs::path& folder) {
  const fs::path file = folder / "modules.json";
  if (!fs::exists(file)) return {};
  const nlohmann::json list = read_json(file);
  if (!list.is_array() || list.empty()) return {};  // read_sentence_modules reports the error
  const Config first(list[0], fmt::format("{}: module 0", file.string()));
  const auto type = first.get<std::string>("type");
  if (type.starts_with("sentence_transformers.")) {
    if (type.ends_with(".Router") || type.ends_with(".Asym")) return routed_transformer(folder, first);
    if (is_static_embedding(type)) {
      const fs::path own = plain_folder(module_folder(first));
      if (has_static_config(folder / own)) return own;
      throw Error(
          ErrorCode::unsupported,
          fmt::format("{}: found {}, expected a Transformer; models of token vectors alone (model2vec) are "
                      "not implemented",
                      first.where(), printable(type)));
    }
  }
  return is_transformer(type) ? plain_folder(module_folder(first)) : fs::path();
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
