#pragma once

#include <filesystem>

namespace mlxe {

// Removes a file, a link, or a folder and all it holds. False if something stays. Makes three attempts: memory may be
// short for a moment, and a file that another thread was opening may appear in a folder that is being removed.
bool remove_tree(const std::filesystem::path& path) noexcept;

}  // namespace mlxe
