// Which files of a repository a run or conversion reads.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace mlxe {

// Files of a repository, relative to it, with "/" between names.
using FileNames = std::vector<std::string>;

// All files of the model but for weights: those of format/model_folder.h. The folders of modules become known with the
// files that `snapshot` has, so call it again once those are there.
FileNames wanted_small_files(const FileNames& listed, const std::filesystem::path& snapshot);

// The weights of the transformer and of modules such as Dense, each in the format that is preferred, and the tensors of
// an adapter. `snapshot` has the small files. An index comes alone; once the snapshot has it, the shards that it names
// come too. Errors: not_found (no config.json, where GGUF files are named; no weights, a shard that is not listed),
// unsupported (weights in other formats alone), format (an index).
FileNames wanted_weights(const FileNames& listed, const std::filesystem::path& snapshot,
                         const std::string& repo);

}  // namespace mlxe
