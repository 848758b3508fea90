#include "hub/download.h"

#include <fmt/format.h>

#include <utility>
#include <vector>

#include "base/free_space.h"
#include "hub/blob_writer.h"
#include "hub/snapshot_check.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace fs = std::filesystem;
namespace {

bool holds(const fs::path& blob, const RemoteFile& remote) {
  return fs::is_regular_file(blob) && fs::file_size(blob) == remote.size && has_content_of(blob, remote.etag);
}

}  // namespace

Download::Download(const HubSettings& settings, const RepoCache& cache, std::string repo, std::string commit)
    : settings_(settings), cache_(cache), repo_(std::move(repo)), commit_(std::move(commit)) {}

void Download::fetch(const FileNames& files, Trust trust, HubClient& hub) {
  std::vector<std::pair<std::string, RemoteFile>> missing;
  uint64_t needed = 0;
  done_ = total_ = 0;
  for (const std::string& file : files) {
    if (trust == Trust::links && fs::exists(cache_.snapshot(commit_) / file)) continue;
    const RemoteFile& remote = missing.emplace_back(file, hub.locate(repo_, commit_, file)).second;
    total_ += remote.size;
    if (!fs::exists(cache_.blob(remote.etag))) needed += remote.size;
  }
  if (needed > 0) require_free_space(cache_.blob(""), needed);
  for (const auto& [file, remote] : missing) fetch_one(file, remote, hub);
}

void Download::fetch_one(const std::string& file, const RemoteFile& remote, HubClient& hub) {
  const fs::path blob = cache_.blob(remote.etag);
  const BlobLock lock(cache_, remote.etag);  // another process may be receiving the same file
  const uint64_t before = done_;
  if (!holds(blob, remote)) receive(file, remote, hub);
  done_ = before + remote.size;
  if (settings_.progress && total_ > 0) settings_.progress("downloading " + repo_, done_, total_);
  cache_.link(commit_, file, remote.etag);
}

void Download::receive(const std::string& file, RemoteFile remote, HubClient& hub) {
  const std::string etag = remote.etag, what = repo_ + ": " + file;
  const uint64_t before = done_;
  bool is_first_refusal = true;
  for (;;) {
    BlobWriter writer(cache_.blob(etag), remote);
    const uint64_t from = writer.size();
    const auto take = [&](std::string_view bytes) {
      writer.append(bytes);
      if (settings_.progress) settings_.progress("downloading " + repo_, before + writer.size(), total_);
    };
    const auto refused = hub.http().fetch(remote.url, from, remote.size, what, take);
    if (!refused && writer.finish()) return;
    // What an earlier process left may be damaged: then all is received anew.
    if (!refused && !writer.is_resumed())
      throw Error(
          ErrorCode::io,
          fmt::format("{}: what was received is not what the hub announced ({} bytes with the hash {}), so "
                      "it was removed; try again",
                      what, remote.size, etag));
    // A signed address grows old; the hub gives a new one.
    if (refused && writer.size() == from && !std::exchange(is_first_refusal, false))
      hub.refuse(*refused, what);
    remote = hub.locate(repo_, commit_, file);
    if (remote.etag != etag)
      throw Error(ErrorCode::io, what + ": the hub now names another content; try again");
  }
}

}  // namespace mlxe
