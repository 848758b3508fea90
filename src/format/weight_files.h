// The weight files of a model folder, and the location of each tensor.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "format/safetensors.h"
#include "mlx_encoder/types.h"

namespace mlxe {

// "model.safetensors.index.json": tensor name -> file name (in the same folder).
// Errors: format (not such an index, or a file name that leaves the folder).
std::map<std::string, std::string> parse_weight_index(std::string_view text, const std::string& where);

struct WeightFiles {
  struct Location {
    size_t file = 0;    // in `files`
    size_t tensor = 0;  // in that file's tensors()
  };
  std::vector<SafetensorsFile> files;
  std::vector<Location> tensors;  // every tensor once
};

// See Checkpoint::open.
WeightFiles open_weight_files(const std::filesystem::path& folder, const Warning& warn);

}  // namespace mlxe
