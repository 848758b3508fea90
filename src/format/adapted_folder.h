// Where a model folder holds the adapters that belong to it (mlx_encoder/adapter.h makes such folders).
#pragma once

#include <filesystem>
#include <string_view>
#include <vector>

namespace mlxe {

// The beginning of the names of their folders: "mlx_encoder_adapter_1", in the order in which they are merged.
inline constexpr std::string_view kAdapterFolder = "mlx_encoder_adapter_";

// The folders of the adapters, in order. Usually none.
std::vector<std::filesystem::path> adapter_folders(const std::filesystem::path& model);

// The folder that the model had before adapters or a task's changes were added; the folder itself if none were.
std::filesystem::path base_folder(const std::filesystem::path& model);

}  // namespace mlxe
