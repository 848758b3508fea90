#include "mlx_encoder/hub.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "base/file_errors.h"
#include "format/json_file.h"
#include "format/weight_file_folder.h"
#include "hub/download.h"
#include "hub/fetch_snapshot.h"
#include "hub/snapshot_check.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace fs = std::filesystem;
namespace {

// Small files first: they tell which folders modules have. Weights last: a snapshot that has them has all.
void complete(const HubSettings& settings, const RepoCache& cache, const HubName& name, RepoListing listing,
              Download::Trust trust, HubClient& hub) {
  const fs::path snapshot = cache.snapshot(listing.commit);
  Download download(settings, cache, name.repo, listing.commit);
  std::set<std::string> fetched;
  const auto fetch_all = [&](auto&& wanted) {
    for (;;) {
      FileNames files = wanted();
      std::erase_if(files, [&](const std::string& file) { return !fetched.insert(file).second; });
      if (files.empty()) return;
      download.fetch(files, trust, hub);
    }
  };
  fetch_all([&] { return wanted_small_files(listing.files, snapshot); });
  fetch_all([&] { return wanted_weights(listing.files, snapshot, name.repo); });
  for (const char* file : kDecidingFiles)
    if (std::ranges::find(listing.files, file) == listing.files.end())
      cache.note_absent(listing.commit, file);
}

[[noreturn]] void refuse_without_download(const HubSettings& settings, const HubName& name) {
  throw Error(ErrorCode::not_found,
              fmt::format("{}: no such folder, and the cache {} has no revision {} of such a model; {}",
                          name.repo, settings.cache.string(), name.revision,
                          settings.offline ? "unset HF_HUB_OFFLINE to download it"
                                           : "this build downloads nothing (MLXE_WITH_HUB=OFF)"));
}

RepoListing list(HubClient& hub, const HubName& name) {
  try {
    return hub.list(name);
  } catch (const NoConnection& error) {
    throw Error(error.code(), fmt::format("{}: no such folder, and {}", name.repo, error.what()));
  }
}

// The cached snapshot, as far as it can be used without the hub.
fs::path cached(const HubSettings& settings, const HubName& name, const RepoCache& cache,
                const std::string& commit) {
  const SnapshotCheck check = check_snapshot(cache, commit);
  if (check.state == SnapshotState::complete) return cache.snapshot(commit);
  const bool is_broken = check.state == SnapshotState::broken;
  if (settings.offline && is_broken)
    throw Error(ErrorCode::not_found, check.fault + "; unset HF_HUB_OFFLINE to download it again");
  if (!is_broken && (settings.offline || !has_http())) return cache.snapshot(commit);
  try {
    HubClient hub(settings);
    RepoListing listing = hub.list({name.repo, commit});
    listing.commit = commit;
    complete(settings, cache, name, std::move(listing),
             is_broken ? Download::Trust::nothing : Download::Trust::links, hub);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::strict) throw;
    if (is_broken)
      throw Error(error.code(),
                  fmt::format("{}, and it can't be downloaded again: {}", check.fault, error.what()));
    if (settings.warning)
      settings.warning(fmt::format("{}: the copy in the cache is used, which may lack files: {}", name.repo,
                                   error.what()));
  }
  return cache.snapshot(commit);
}

}  // namespace

fs::path fetch_snapshot(const HubName& name, const HubSettings& settings) {
  return with_file_errors([&] {
    const RepoCache cache(settings.cache, name.repo);
    if (const auto commit = cache.commit_of(name.revision);
        commit && fs::is_directory(cache.snapshot(*commit)))
      return cached(settings, name, cache, *commit);
    if (settings.offline || !has_http()) refuse_without_download(settings, name);
    HubClient hub(settings);
    RepoListing listing = list(hub, name);
    const std::string commit = listing.commit;
    complete(settings, cache, name, std::move(listing), Download::Trust::links, hub);
    cache.set_commit(name.revision, commit);
    return cache.snapshot(commit);
  });
}

fs::path hub_snapshot(std::string_view name, const HubOptions& options) {
  const std::optional<HubName> parsed = parse_hub_name(name);
  if (!parsed)
    throw Error(ErrorCode::usage,
                fmt::format("{}: not the name of a model on the Hugging Face hub, expected org/name or "
                            "org/name@revision",
                            printable(name)));
  return fetch_snapshot(*parsed, hub_settings(options));
}

fs::path model_folder(const std::string& path_or_name, const HubOptions& options) {
  std::error_code failed;
  if (fs::symlink_status(path_or_name, failed).type() != fs::file_type::not_found)
    return weight_file_folder(path_or_name, options.warning).value_or(path_or_name);
  return is_hub_name(path_or_name) ? hub_snapshot(path_or_name, options) : fs::path(path_or_name);
}

}  // namespace mlxe
