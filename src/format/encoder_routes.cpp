#include "format/encoder_routes.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <span>
#include <utility>

#include "base/file_errors.h"
#include "base/output_file.h"
#include "base/wording.h"
#include "format/json_file.h"
#include "format/linked_folders.h"
#include "format/model_folder.h"
#include "format/module_path.h"
#include "format/static_embedding.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace fs = std::filesystem;
namespace {

using nlohmann::json;

json module_list(const fs::path& folder) {
  const fs::path file = folder / "modules.json";
  json list = fs::exists(file) ? read_json(file) : json();
  return list.is_array() ? list : json::array();  // read_sentence_modules reports the error
}

// Without "." and a slash at the end.
fs::path plain(const fs::path& relative) {
  return (relative / "").lexically_normal().parent_path();
}

// What is in the folder of the whole model, where an encoder may be, too, and belongs to no model of a route.
bool is_of_whole_model(const fs::path& name) {
  return name == "modules.json" || name == kLibraryConfig || name == kRouterConfig || name == "README.md" ||
         name == kProvenanceFile || name == kGoldenFile;
}

// What a model of a route consists of, by path in its folder.
struct RouteFiles {
  std::map<fs::path, std::string> texts;
  std::map<fs::path, fs::path> links;  // to the files of the whole model

  void link_all(const fs::path& from, const fs::path& to, bool whole_model) {
    if (!fs::is_directory(from)) return;  // said when the module is read
    for (const fs::directory_entry& entry : fs::directory_iterator(from)) {
      const fs::path name = entry.path().filename();
      if (entry.is_regular_file() && !(whole_model && is_of_whole_model(name)) && !texts.contains(to / name))
        links.emplace(to / name, entry.path());
    }
  }
  // Another folder is made when anything here changes.
  std::string key() const {
    std::string all;
    for (const auto& [file, text] : texts) all += fmt::format("{}\n{}\n", file.string(), text);
    for (const auto& [file, target] : links) all += fmt::format("{}\n{}\n", file.string(), target.string());
    return all;
  }
};

// The modules of a route and those after the Router, and their folders but the encoder's.
std::pair<json, std::vector<fs::path>> modules_of(const EncoderRoutes& routes, size_t route) {
  json modules = json::array();
  std::vector<fs::path> folders;
  const auto add = [&](json entry, const std::string& type, const fs::path& path) {
    entry["idx"] = modules.size();
    entry["name"] = std::to_string(modules.size());
    entry["path"] = path.generic_string();
    entry["type"] = type;
    modules.push_back(std::move(entry));
    if (!path.empty()) folders.push_back(path);
  };
  const std::vector<RouterModule>& own = routes.router.routes[route].modules;
  add(json::object(), own[0].type, "");
  for (const RouterModule& m : std::span(own).subspan(1)) add(json::object(), m.type, plain(m.folder));
  const json list = module_list(routes.folder);
  for (size_t i = 1; i < list.size(); ++i) {
    const Config entry(list[i], fmt::format("{}: module {}", (routes.folder / "modules.json").string(), i));
    add(list[i], entry.get<std::string>("type"), plain(module_folder(entry)));
  }
  return {std::move(modules), std::move(folders)};
}

}  // namespace

std::vector<std::string> EncoderRoutes::names() const {
  std::vector<std::string> all;
  for (const RouterRoute& r : router.routes) all.push_back(r.name);
  return all;
}

size_t EncoderRoutes::route(RouteTask task) const {
  return require_route(router.route_of, task, names());
}

size_t EncoderRoutes::route(std::string_view task_or_name) const {
  for (const RouteTask task : {RouteTask::query, RouteTask::document})
    if (const auto found = router.route_of[task]; found && task_or_name == words(task).name) return *found;
  const auto found = std::ranges::find(router.routes, task_or_name, &RouterRoute::name);
  if (found != router.routes.end()) return static_cast<size_t>(found - router.routes.begin());
  const std::vector<std::string> all = names();
  throw Error(ErrorCode::usage, fmt::format("{}: no task {}; its Router has the routes {}", folder.string(),
                                            printable(task_or_name), listed(all, all.size())));
}

fs::path EncoderRoutes::model(size_t route) const {
  static LinkedFolders made;
  const fs::path base = plain_path(folder), encoder = plain_path(base / encoders[route]);
  RouteFiles parts;
  const auto [modules, folders] = modules_of(*this, route);
  parts.texts["modules.json"] = modules.dump(2) + "\n";
  if (fs::exists(base / kLibraryConfig)) parts.links.emplace(kLibraryConfig, base / kLibraryConfig);
  for (const fs::path& module : folders) parts.link_all(base / module, module, false);
  parts.link_all(encoder, {}, encoder == base);
  if (is_static_embedding(router.routes[route].modules[0].type)) {
    if (!parts.links.contains("config.json")) parts.texts["config.json"] = static_config(encoder);
    if (!parts.links.contains("tokenizer_config.json"))
      parts.texts["tokenizer_config.json"] = R"({"tokenizer_class": "PreTrainedTokenizerFast"})";
  }
  return made.folder(parts.key(), base.filename().string(), folder, [&](const fs::path& to) {
    for (const auto& [file, text] : parts.texts) write_whole_file(to / file, text, Placement::fresh);
    for (const auto& [file, target] : parts.links) add_link(to / file, target);
  });
}

std::optional<EncoderRoutes> encoder_routes(const fs::path& folder) {
  return with_file_errors([&]() -> std::optional<EncoderRoutes> {
    const json list = module_list(folder);
    if (list.empty() || !list[0].is_object()) return std::nullopt;
    const Config first(list[0], fmt::format("{}: module 0", (folder / "modules.json").string()));
    const std::string kind = library_class(first.get<std::string>("type"));
    if (kind != "Router" && kind != "Asym") return std::nullopt;
    EncoderRoutes routes{.router = {}, .folder = folder, .encoders = {}, .files = {"modules.json"}};
    routes.router = ModuleFileReader(routes.folder, routes.files, {})
                        .router(plain(module_folder(first)).generic_string());
    for (const RouterRoute& route : routes.router.routes) {
      if (route.modules.empty() || !is_encoder(route.modules[0].type)) return std::nullopt;
      routes.encoders.push_back(plain(route.modules[0].folder));
    }
    return routes;
  });
}

}  // namespace mlxe
