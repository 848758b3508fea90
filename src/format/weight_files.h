// The weight files of a model folder, and the location of each tensor.
#pragma once

#include <array>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "format/tensor_file.h"
#include "mlx_encoder/types.h"

namespace mlxe {

// What a format has whose files say themselves which model they hold.
struct SelfDescription {
  // Writes config.json and what else is beside the weights into an empty folder.
  void (*write)(const std::filesystem::path& file, const std::filesystem::path& folder, const Warning& warn);
  // Throws if the file contradicts the config.json beside it.
  void (*require_agreement)(const std::filesystem::path& file, const std::filesystem::path& config);
};

// How one format is laid out in a folder.
struct WeightFormat {
  const char* single;                          // all weights in one file
  std::array<std::string_view, 2> beginnings;  // of the names of its files
  std::array<std::string_view, 3> endings;
  ParseTensors* parse;
  const char* subfolder = "";  // that its files may be in, if the folder has no weights itself
  // Each file is a whole model, in a form of its own, which may be larger than its weights.
  bool is_export = false;
  const SelfDescription* description = nullptr;

  std::string index() const { return std::string(single) + ".index.json"; }  // of shards
  bool is_weights(std::string_view file_name) const;
};

// Every format that is read, the preferred one first.
std::span<const WeightFormat> weight_formats() noexcept;

// The format that is read in a folder with these files, as transformers chooses: the first with its single file or its
// index, else (as MLX does) the first with any file, else an export. nullptr if there is none.
const WeightFormat* find_weight_format(std::span<const std::string> names);
// Whether the ending is that of weights in a format that is not read in a folder: "tf_model.h5", "name.Q8_0.gguf".
bool is_foreign_weight_file(std::string_view name);

// Of an export format, the file among `names` that is read: its single, else the only one. Empty if there are several.
std::string find_export(const WeightFormat& format, std::span<const std::string> names);

// The format, exports aside, whose `single` is in the folder; nullptr if there is none.
const WeightFormat* find_single_file(const std::filesystem::path& folder);

// "model.safetensors.index.json": tensor name -> file name (in the same folder).
// Errors: format (not such an index, or a file name that leaves the folder or is not of `format`).
std::map<std::string, std::string> parse_weight_index(std::string_view text, const WeightFormat& format,
                                                      const std::string& where);

struct WeightFiles {
  struct Location {
    size_t file = 0;    // in `files`
    size_t tensor = 0;  // in that file's tensors()
  };
  std::vector<TensorFile> files;
  std::vector<Location> tensors;  // every tensor once
};

// See Checkpoint::open.
WeightFiles open_weight_files(const std::filesystem::path& folder, const Warning& warn);

}  // namespace mlxe
