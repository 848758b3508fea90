#include "format/zip_archive.h"

#include <fmt/format.h>

#include <cstdint>
#include <nlohmann/json.hpp>

#include "format/json_file.h"
#include "mlx_encoder/error.h"
#include "rust/mlxe_rust.h"
#include "rust/rust_string.h"

namespace mlxe {

std::map<std::string, ZipEntry> zip_entries(std::span<const std::byte> archive, const std::string& where) {
  RustString text, error;
  check_rust(mlxe_zip_entries(reinterpret_cast<const uint8_t*>(archive.data()), archive.size(), text.out(),
                              error.out()),
             where + ": ", error);
  std::map<std::string, ZipEntry> entries;
  for (const nlohmann::json& entry : nlohmann::json::parse(text.view())) {
    const auto name = entry["name"].get<std::string>();
    const auto begin = entry["begin"].get<uint64_t>(), size = entry["size"].get<uint64_t>();
    if (begin > archive.size() || size > archive.size() - begin)
      throw Error(ErrorCode::format,
                  fmt::format("{}: the entry {} lies outside the zip archive; is the download complete?",
                              where, printable(name)));
    entries[name] = {archive.subspan(begin, size), entry["stored"].get<bool>()};
  }
  return entries;
}

}  // namespace mlxe
