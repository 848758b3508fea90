#include "verify/routed_verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "base/wording.h"
#include "format/linked_folders.h"
#include "format/provenance.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace fs = std::filesystem;
namespace {

class RoutedVerification {
 public:
  RoutedVerification(const EncoderRoutes& routes, const VerifyOptions& options)
      : routes_(routes), options_(options) {}

  VerifyReport run() {
    if (!options_.against.empty() || !options_.save_golden.empty())
      throw Error(
          ErrorCode::usage,
          fmt::format(
              "{}: has a Router with an encoder in each route, and a golden is of one; choose the route "
              "with --task (task_model() in the library): {}",
              routes_.folder.string(), listed(routes_.names(), routes_.encoders.size())));
    const bool recorded = check_record();
    std::vector<VerifyReport> reports;
    for (size_t i = 0; i < routes_.encoders.size(); ++i) reports.push_back(check_route(i, recorded));
    for (const RouteTask task : kRouteTasks) add_task(task);
    for (size_t i = 0; i < reports.size(); ++i) add(i, std::move(reports[i]));
    if (report_.recorded && !recorded)
      report_.failures.push_back(
          fmt::format("{}: is missing, but the routes are of a conversion that wrote one; convert again",
                      (routes_.folder / kProvenanceFile).string()));
    report_.recorded |= recorded;
    if (!report_.texts.empty()) report_.mean_cosine /= static_cast<double>(report_.texts.size());
    const bool unproved = !report_.recorded || std::ranges::count(verdicts_, Verdict::unproved) > 0;
    report_.verdict = !report_.failures.empty() ? Verdict::failed
                      : unproved                ? Verdict::unproved
                                                : Verdict::passed;
    return std::move(report_);
  }

 private:
  // The files that no route's record has. Returns whether there is a record.
  bool check_record() {
    std::optional<Provenance> record;
    try {
      record = Provenance::read(routes_.folder);
    } catch (const Error& error) {
      if (error.code() == ErrorCode::io) throw;
      report_.files.push_back({kProvenanceFile, error.what()});
      report_.failures.emplace_back(error.what());
      return true;
    }
    if (!record) return false;
    for (const auto& [file, print] : record->output) {
      const fs::path path = provenance_path(file);
      const bool of_an_encoder =
          std::ranges::find(routes_.encoders, path.parent_path()) != routes_.encoders.end();
      if (of_an_encoder && path.filename() != kProvenanceFile) continue;
      const Provenance alone{.plan = {}, .source = {}, .output = {{file, print}}};
      const std::vector<std::string> changes = alone.changes(routes_.folder, FileCheck::content);
      report_.files.push_back({file, changes.empty() ? "" : changes.front()});
      for (const std::string& change : changes) report_.failures.push_back(change);
    }
    for (const fs::path& file : routes_.files)
      if (!record->output.contains(provenance_name(file.generic_string())))
        report_.failures.push_back(
            fmt::format("{}: is read, but {} does not record it; it was added after the conversion: remove "
                        "it, or convert again",
                        (routes_.folder / file).string(), kProvenanceFile));
    return true;
  }

  VerifyReport check_route(size_t route, bool recorded) const {
    try {
      return verify(routes_.model(route), options_);
    } catch (const Error& error) {
      const bool of_the_folder = error.code() == ErrorCode::not_found || error.code() == ErrorCode::format;
      if (!recorded || !of_the_folder) throw;
      return {.verdict = Verdict::failed, .failures = {fmt::format("does not load: {}", error.what())}};
    }
  }

  void add_task(RouteTask task) {
    const auto route = routes_.router.route_of[task];
    report_.settings.push_back({fmt::format("route of {}", words(task).texts),
                                route ? routes_.router.routes[*route].name : "none: an error",
                                routes_.files.back().generic_string()});
  }

  void add(size_t route, VerifyReport of_route) {
    const std::string prefix = fmt::format("route {}: ", routes_.router.routes[route].name);
    const auto join = [](std::string& all, const std::string& one) {
      if (!one.empty() && all != one) all += (all.empty() ? "" : ", ") + one;
    };
    verdicts_.push_back(of_route.verdict);
    for (const std::string& failure : of_route.failures)
      report_.failures.push_back(prefix + with_shown_paths(failure));
    join(report_.model_type, of_route.model_type);
    report_.engine = of_route.engine;
    report_.engine_variant = of_route.engine_variant;
    for (SettingInForce& s : of_route.settings)
      report_.settings.push_back({prefix + s.name, std::move(s.value), std::move(s.from)});
    const auto take = [](std::vector<std::string>& all, const std::vector<std::string>& more) {
      std::set<std::string> each(all.begin(), all.end());
      each.insert(more.begin(), more.end());
      all.assign(each.begin(), each.end());
    };
    take(report_.used_keys, of_route.used_keys);
    take(report_.harmless_keys, of_route.harmless_keys);
    take(report_.ignored_keys, of_route.ignored_keys);
    report_.recorded |= of_route.recorded;
    for (const CheckedFile& f : of_route.files)
      report_.files.push_back({prefix + f.name, with_shown_paths(f.problem)});
    if (!of_route.golden.empty())
      join(report_.golden, (routes_.folder / routes_.encoders[route] / kGoldenFile).string());
    join(report_.golden_made_by, of_route.golden_made_by);
    join(report_.output, of_route.output);
    // Those of all routes are equal, because one conversion wrote their goldens.
    report_.difference_limit = of_route.difference_limit;
    report_.cosine_limit = of_route.cosine_limit;
    report_.mean_cosine_limit = of_route.mean_cosine_limit;
    report_.mean_cosine += of_route.mean_cosine * static_cast<double>(of_route.texts.size());
    for (CheckedText& text : of_route.texts) report_.texts.push_back(std::move(text));
  }

  const EncoderRoutes& routes_;
  const VerifyOptions& options_;
  VerifyReport report_;
  std::vector<Verdict> verdicts_;
};

}  // namespace

VerifyReport verify_routes(const EncoderRoutes& routes, const VerifyOptions& options) {
  return RoutedVerification(routes, options).run();
}

}  // namespace mlxe
