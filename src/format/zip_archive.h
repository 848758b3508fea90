// The entries of a zip archive in memory, by the Rust crate `zip`.
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>

namespace mlxe {

struct ZipEntry {
  std::span<const std::byte> data;  // as it lies in the archive
  bool stored = false;              // neither compressed nor encrypted
};

// By name. `where` names the archive in errors. Checks no checksums, as torch does not of a mapped file.
// Errors: format (no archive, or damaged).
std::map<std::string, ZipEntry> zip_entries(std::span<const std::byte> archive, const std::string& where);

}  // namespace mlxe
