// The files of texts below a folder.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "mlx_encoder/types.h"

namespace mlxe {

struct CorpusFile {
  std::filesystem::path path;
  std::string name;  // relative to the folder, with "/"
  uint64_t bytes = 0;
  int64_t modified = 0;  // nanoseconds
};

// Sorted by name. Files whose names begin with "." or "_", and what lies in such folders, are left out; those of other
// formats, links to folders and what else is no file, too, with a warning for each kind. Errors: not_found, io, usage (no folder;
// no file of texts; a name that is not UTF-8).
std::vector<CorpusFile> corpus_files(const std::filesystem::path& folder, const Warning& warning);

}  // namespace mlxe
