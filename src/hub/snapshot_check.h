// Whether a snapshot in the cache can be used as it is.
#pragma once

#include <filesystem>
#include <string>

#include "hub/repo_cache.h"

namespace mlxe {

enum class SnapshotState {
  complete,
  unsure,  // usable, but another tool may have left out files: the list of the repository's files is needed
  broken,  // a file is missing or damaged
};

struct SnapshotCheck {
  SnapshotState state = SnapshotState::complete;
  std::string fault;  // of a broken one: "model.safetensors: is a link to a file that is not there"
};

// Reads the small files and the headers of the weights. Errors: io.
SnapshotCheck check_snapshot(const RepoCache& cache, const std::string& commit);

// Whether the content is that which a blob's name tells: 64 hex digits are a SHA-256, 40 a git hash; of other names
// nothing is known. Errors: io.
bool has_content_of(const std::filesystem::path& file, const std::string& etag);

// Files that decide how a model is read. What a repository lacks is noted in the cache.
inline constexpr const char* kDecidingFiles[] = {"modules.json", "tokenizer.json"};

}  // namespace mlxe
