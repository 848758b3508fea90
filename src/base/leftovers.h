// The temporary files and folders of this process, to be removed when a signal ends the program.
#pragma once

#include <filesystem>
#include <mutex>

namespace mlxe::leftovers {

// While the lock is held, no other thread removes anything.
//   To create a temporary file: add its name first; drop the name if the file could not be created.
//   To rename it into place: hold the lock until the name is dropped.
// Recursive: when memory runs out, the thread that holds the lock may be the one that removes.
std::unique_lock<std::recursive_mutex> hold();
// Both need hold().
void add(const std::filesystem::path& path);
void drop(const std::filesystem::path& path) noexcept;

// Removes everything that this process added and did not drop; what a forked child inherits is its parent's. For a process that ends now: hold() never returns again.
void remove_all() noexcept;

}  // namespace mlxe::leftovers
