// Where an output really goes, and the temporary names beside it.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace mlxe {

// The absolute path that `path` stands for after its last name's links are followed, there or not yet.
// `/dev/stdout` and other names of open descriptors end at `/dev/fd/N`. Errors: io (links in a circle).
std::filesystem::path resolved_output(const std::filesystem::path& path);

// N of a name of this process's open descriptors (/dev/fd/N, /proc/self/fd/N), else -1.
int named_descriptor(const std::filesystem::path& path);

// `.NAME<suffix>` beside the target; a name too long for that is cut.
std::filesystem::path hidden_sibling(const std::filesystem::path& target, std::string_view suffix);

// `.NAME.partial-<pid>-<random>` beside the target, a new name at each call.
std::filesystem::path partial_sibling(const std::filesystem::path& target);
// Removes the partial siblings of processes that are gone: the pid does not exist and nobody has an flock.
void remove_stale_partials(const std::filesystem::path& target) noexcept;

// So that a rename in `folder` survives a loss of power; a volume that can't is no worse than without.
void sync_folder(const std::filesystem::path& folder) noexcept;

}  // namespace mlxe
