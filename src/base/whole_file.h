// Reads a small file that a user names: a list of limits, a recipe.
#pragma once

#include <filesystem>
#include <string>

namespace mlxe {

// The whole file, or the first `most` + 1 bytes of a longer one. Unlike the files of a model folder
// (mapped_file.h) it may be a pipe, which is waited for, or a device. Errors: not_found, io.
std::string read_whole_file(const std::filesystem::path& path, size_t most);

}  // namespace mlxe
