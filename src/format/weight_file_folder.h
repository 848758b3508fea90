// A model that is named by one of its weight files.
#pragma once

#include <filesystem>
#include <optional>

#include "mlx_encoder/types.h"

namespace mlxe {

// For a weight file such as onnx/model_quantized.onnx: a temporary folder that holds the same model with that file as
// its only weights. All files in it are links. The other files are those of the model folder that the weight file is
// in, or of the folder above. It is removed when the process ends. One call for each file makes a folder.
//
// A file that says itself which model it holds (GGUF) needs no folder around it: without a config.json beside it, the
// other files are made of what it says, and `warn` gets what it says to no effect. The folder is named as the file. Such
// a file is also meant by a folder that has no other weights, or no config.json.
//
// None: `path` is neither such a folder nor a regular file with the ending of a weight format. Errors: not_found (no
// model folder around it), usage (a folder with several such files), io (the temporary folder cannot be made), format
// (the file contradicts the config.json beside it), and those of the file.
std::optional<std::filesystem::path> weight_file_folder(const std::filesystem::path& path,
                                                        const Warning& warn = {});

}  // namespace mlxe
