// From the hub into the cache.
#pragma once

#include <cstdint>
#include <string>

#include "hub/hub_client.h"
#include "hub/repo_cache.h"

namespace mlxe {

// Downloads the files of one commit. Errors: as hub_snapshot.
class Download {
 public:
  Download(const HubSettings& settings, const RepoCache& cache, std::string repo, std::string commit);

  // What the snapshot already has is taken as it is, or, with Trust::nothing, compared with the hub.
  enum class Trust { links, nothing };
  void fetch(const FileNames& files, Trust trust, HubClient& hub);

 private:
  void fetch_one(const std::string& file, const RemoteFile& remote, HubClient& hub);
  void receive(const std::string& file, RemoteFile remote, HubClient& hub);

  const HubSettings& settings_;
  const RepoCache& cache_;
  std::string repo_, commit_;
  uint64_t done_ = 0, total_ = 0;  // bytes
};

}  // namespace mlxe
