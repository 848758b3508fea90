// Removing a folder where memory may have run out.
#pragma once

namespace mlxe {

// Removes a file, or a folder with all that it holds; follows no link. On Linux it allocates nothing, so it also works
// where memory has run out and in a signal handler. Returns whether nothing is left.
bool remove_tree(const char* path) noexcept;

}  // namespace mlxe
