// Temporary files and folders of this process, for a program that a signal is about to end.
#pragma once

#include <filesystem>
#include <mutex>

namespace mlxe::leftovers {

// While this is held no other thread removes anything. Who makes a temporary file adds its name first, and drops it where
// the file was not made; who puts one into place holds it until the file is dropped.
// Recursive: where memory runs out, the thread that holds it may be the one that removes.
std::unique_lock<std::recursive_mutex> hold();
// Both need hold().
void add(const std::filesystem::path& path);
void drop(const std::filesystem::path& path) noexcept;

// Removes all that was added and not dropped, for a process that ends now: hold() never returns again.
void remove_all() noexcept;

}  // namespace mlxe::leftovers
