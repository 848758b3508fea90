// Where an output really goes, and the temporary names beside it.
#pragma once

#include <filesystem>
#include <functional>
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

// Makes a temporary file or folder `.NAME.partial-<pid>-<random>` beside the target. `make` gets a name, makes
// it and returns 0 or an errno; after EEXIST it gets another name. The name joins the leftovers
// (base/leftovers.h). Empty with errno where nothing could be made. Errors: io (no random name).
std::filesystem::path make_partial_sibling(const std::filesystem::path& target,
                                           const std::function<int(const std::filesystem::path&)>& make);
// Removes the partial siblings of processes that are gone: the pid does not exist and nobody has an flock.
void remove_stale_partials(const std::filesystem::path& target) noexcept;

// So that a rename in `folder` survives a loss of power; a volume that can't is no worse than without.
void sync_folder(const std::filesystem::path& folder) noexcept;

}  // namespace mlxe
