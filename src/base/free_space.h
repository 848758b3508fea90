// Room left on a volume.
#pragma once

#include <cstdint>
#include <filesystem>

namespace mlxe {

// Bytes an ordinary user can still write on the volume that holds `path` (which need not exist yet).
uint64_t free_space(const std::filesystem::path& path);

// Throws Error(io, "...: n bytes needed, m free; ...") unless `bytes` fit where `path` will be written.
void require_free_space(const std::filesystem::path& path, uint64_t bytes);
[[noreturn]] void throw_no_space(const std::filesystem::path& path, uint64_t bytes);

}  // namespace mlxe
