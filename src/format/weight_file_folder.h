// A model that is named by one of its weight files.
#pragma once

#include <filesystem>
#include <optional>

namespace mlxe {

// For a weight file such as onnx/model_quantized.onnx: a temporary folder that holds the same model with that file as
// its only weights. All files in it are links. The other files are those of the model folder that the weight file is
// in, or of the folder above. It is removed when the process ends. One call for each file makes a folder.
// None: `file` is not a regular file with the ending of a weight format. Errors: not_found (no model folder around
// it), io (the temporary folder cannot be made).
std::optional<std::filesystem::path> weight_file_folder(const std::filesystem::path& file);

}  // namespace mlxe
