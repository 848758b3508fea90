// Routers of sentence-transformers with an encoder in each route, such as a small one for queries and a large one for
// documents. Each route is read as a model of its own, in a temporary folder (linked_folders.h).
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "format/module_files.h"

namespace mlxe {

struct EncoderRoutes {
  RouterFile router;                            // at least one route; the first module of each is an encoder
  std::filesystem::path folder;                 // that of the model
  std::vector<std::filesystem::path> encoders;  // by route: the encoder's folder, relative
  std::vector<std::filesystem::path> files = {};  // the Router's own, relative

  // The route of texts without a task; if there is none, the first.
  size_t main() const { return router.route_of[RouteTask::none].value_or(0); }
  std::vector<std::string> names() const;
  // The route of a task's texts. Errors: usage (there is none; names the routes).
  size_t route(RouteTask task) const;
  // The route that a task ("query", "document") takes, else the one of this name. Errors: usage (neither is there).
  size_t route(std::string_view task_or_name) const;

  // A model folder with the encoder's files in the folder itself, and the modules of the route and those after the Router
  // beside them. Of a StaticEmbedding it has a config.json and a tokenizer_config.json, too, if the encoder's folder has
  // none. The same route with the same files gives the same folder. Errors: io, format, not_found.
  std::filesystem::path model(size_t route) const;
};

// None of any other folder, also where only some routes begin with an encoder. Errors: those of ModuleFileReader::router.
std::optional<EncoderRoutes> encoder_routes(const std::filesystem::path& folder);

}  // namespace mlxe
