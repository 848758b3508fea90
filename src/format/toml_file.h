// Reads a user's TOML files (quality.toml, matrix.toml) as JSON values.
#pragma once

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

namespace mlxe {

struct TomlFile {
  std::filesystem::path path;
  nlohmann::json values;             // an object; dates and times are strings
  std::map<std::string, int> lines;  // JSON pointer of a value -> line of its key, from 1

  // "quality.toml:12": the start of a message about the value at `pointer`, e.g. "/models/0/name".
  // "quality.toml" if there is no such value.
  std::string where(const std::string& pointer) const;
};

// TOML 1.1. Errors: not_found, io, format (too large, not UTF-8, not TOML, a key twice, a number that is not
// finite or needs more than 64 bits, nested too deep), as "file:line:column: ...".
TomlFile read_toml(const std::filesystem::path& path);

}  // namespace mlxe
