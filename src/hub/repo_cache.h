// One repository in the cache that huggingface_hub lays out:
//
//   CACHE/models--org--name/refs/REVISION             the commit of a branch or tag
//   CACHE/models--org--name/blobs/ETAG                contents; ETAG.incomplete while they are received
//   CACHE/models--org--name/snapshots/COMMIT/FILE     links to blobs
//   CACHE/models--org--name/.no_exist/COMMIT/FILE     empty: the repository has no such file
//   CACHE/.locks/models--org--name/ETAG.lock          held (flock) by the process that writes the blob
#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace mlxe {

class RepoCache {
 public:
  RepoCache(const std::filesystem::path& cache, const std::string& repo);

  // Of a revision that the cache knows; a commit with a snapshot is its own. Errors: io, format (a ref that holds no
  // commit).
  std::optional<std::string> commit_of(const std::string& revision) const;
  std::filesystem::path snapshot(const std::string& commit) const { return folder_ / "snapshots" / commit; }
  std::filesystem::path blob(const std::string& etag) const { return folder_ / "blobs" / etag; }
  // Whether the snapshot has the file, or the repository is known to have none.
  bool is_settled(const std::string& commit, const std::string& file) const;

  // Errors of all: io.
  void note_absent(const std::string& commit, const std::string& file) const;
  // Makes the snapshot's file a link to the blob, in place of what is there.
  void link(const std::string& commit, const std::string& file, const std::string& etag) const;
  void set_commit(const std::string& revision, const std::string& commit) const;

 private:
  friend class BlobLock;
  std::filesystem::path folder_, locks_;
};

// Held while a blob is written, as huggingface_hub holds it. Waits for another process. The file stays. On a volume
// without locks, nothing is locked.
class BlobLock {
 public:
  BlobLock(const RepoCache& cache, const std::string& etag);
  ~BlobLock();
  BlobLock(const BlobLock&) = delete;
  BlobLock& operator=(const BlobLock&) = delete;

 private:
  int fd_ = -1;
};

// Whether `text` may be a commit: letters and digits.
bool is_commit(std::string_view text);

}  // namespace mlxe
