#include "encoder/routed_runners.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <span>

#include "base/sha256.h"
#include "base/wording.h"
#include "encoder/embed_settings.h"
#include "format/json_file.h"
#include "format/provenance.h"

namespace mlxe {

RoutedRunners::RoutedRunners(const std::filesystem::path& folder, const EncoderOptions& options)
    : routes_(encoder_routes(folder)) {
  if (routes_)
    load_routes(options);
  else
    runners_.push_back(std::make_unique<TextRunner>(folder, options));
}

void RoutedRunners::load_routes(const EncoderOptions& options) {
  if (options.warning)  // of the whole folder; each route has a record of its own
    for (const std::string& change : changes_since_conversion(routes_->folder, FileCheck::size))
      options.warning(change);
  std::shared_ptr<ThreadPool> pool;
  runners_.resize(routes_->encoders.size());
  for (const RouteTask task : kRouteTasks) {
    const auto route = routes_->router.route_of[task];
    if (!route || runners_[*route]) continue;
    runners_[*route] = std::make_unique<TextRunner>(routes_->model(*route), options, pool);
    pool = runners_[*route]->pool();
  }
  const auto loaded = std::ranges::find_if(runners_, [](const auto& runner) { return runner != nullptr; });
  if (loaded == runners_.end()) routes_->route(RouteTask::none);  // throws
  main_ = routes_->router.route_of[RouteTask::none].value_or(static_cast<size_t>(loaded - runners_.begin()));
  if (!options.warning) return;
  for (size_t i = 0; i < runners_.size(); ++i)
    if (!runners_[i])
      options.warning(fmt::format("{}: no task takes the route {}", routes_->router.where,
                                  printable(routes_->router.routes[i].name)));
  compare_widths(options.warning);
}

// sentence-transformers says it, too, and goes on.
void RoutedRunners::compare_widths(const Warning& warn) const {
  std::set<int64_t> widths;
  for (const auto& runner : runners_)
    if (runner && runner->model().has(Output::sentence))
      widths.insert(
          vector_form({}, runner->sentence(), runner->model().plan.columns(Output::sentence)).columns);
  if (widths.size() < 2) return;
  std::vector<std::string> said;
  for (const int64_t width : widths) said.push_back(std::to_string(width));
  warn(fmt::format("{}: the vectors of its routes have different widths ({}), so they cannot be compared",
                   routes_->router.where, listed(said, said.size())));
}

const TextRunner& RoutedRunners::of(EmbedTask task) const {
  return routes_ ? *runners_[routes_->route(route_task(task))] : *runners_[0];
}

std::vector<std::string> RoutedRunners::names() const {
  if (routes_) return routes_->names();
  std::vector<std::string> names;
  for (const SentenceRoute& route : main().sentence().routes) names.push_back(route.name);
  return names;
}

std::string RoutedRunners::fingerprint() const {
  if (!routes_) return model_fingerprint(main().loaded());
  std::vector<std::string> of_routes;
  for (const auto& runner : runners_) of_routes.push_back(runner ? model_fingerprint(runner->loaded()) : "");
  std::string text;
  for (const RouteTask task : kRouteTasks) {
    const auto route = routes_->router.route_of[task];
    text += fmt::format("{} {}\n", route ? of_routes[*route] : "none", words(task).name);
  }
  return sha256_hex(std::as_bytes(std::span(text)));
}

}  // namespace mlxe
