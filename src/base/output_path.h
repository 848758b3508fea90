// The real path of an output, and the temporary names beside it.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

namespace mlxe {

// The absolute path of `path` after the links of its last name are followed. The file need not exist.
// `/dev/stdout` and other names of open descriptors become `/dev/fd/N`. Errors: io (a cycle of links).
std::filesystem::path resolved_output(const std::filesystem::path& path);

// Whether `path` is `folder` or lies in it. Both are absolute, without links.
bool is_within(const std::filesystem::path& path, const std::filesystem::path& folder);

// N if `path` names an open descriptor of this process (/dev/fd/N, /proc/self/fd/N), else -1.
int named_descriptor(const std::filesystem::path& path);

// `.NAME<suffix>` beside the target. A NAME that is too long is cut.
std::filesystem::path hidden_sibling(const std::filesystem::path& target, std::string_view suffix);

// Makes a temporary file or folder `.NAME.partial-<pid>-<random>` beside the target. `make` makes it under the
// given name and returns 0 or an errno; after EEXIST it gets another name. The name joins the leftovers
// (base/leftovers.h). Empty, with errno set, if nothing could be made. Errors: io (no random name).
std::filesystem::path make_partial_sibling(const std::filesystem::path& target,
                                           const std::function<int(const std::filesystem::path&)>& make);
// NAME if `path` has the name of such a file or folder, else empty.
std::string target_of_partial(const std::filesystem::path& path);
// Removes the partial siblings of dead processes: the pid does not exist, and nobody holds an flock.
void remove_stale_partials(const std::filesystem::path& target) noexcept;

// Makes a rename in `folder` survive a power failure. Ignores volumes that can't sync.
void sync_folder(const std::filesystem::path& folder) noexcept;

}  // namespace mlxe
