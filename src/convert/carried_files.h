// The small files of a model folder that a conversion copies byte for byte.
#pragma once

#include <filesystem>
#include <vector>

#include "format/checkpoint.h"
#include "format/model_folder.h"
#include "format/sentence_modules.h"

namespace mlxe {

struct CarriedFile {
  std::filesystem::path from, to;  // relative to the source and to the written folder

  bool operator==(const CarriedFile&) const = default;
  bool operator<(const CarriedFile& other) const { return to < other.to; }
};

struct CarriedFiles {
  std::vector<CarriedFile> carried;  // sorted
  std::vector<std::filesystem::path>
      left_behind;  // files and folders at the top level that are not carried, sorted
};

// `weights`: those that are read. Carries the tokenizer's files, the files of sentence-transformers modules, all other JSON files and licences. Does not
// carry: weights and their index (a stale index makes loaders look for missing shards); config.json, README.md and
// mlx_encoder*.json, which are written anew; the chart of an allocation. Files of a transformer in a folder of its own
// go to the written folder itself.
CarriedFiles find_carried_files(const std::filesystem::path& folder, const SentenceModules& sentence,
                                const std::vector<CheckpointFile>& weights);

// Errors: io, not_found.
void copy_files(const std::filesystem::path& from, const std::filesystem::path& to,
                const std::vector<CarriedFile>& files);

}  // namespace mlxe
