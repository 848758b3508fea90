#include "format/toml_file.h"

#include <fmt/format.h>

#include "base/whole_file.h"
#include "mlx_encoder/error.h"
#include "rust/mlxe_rust.h"
#include "rust/rust_string.h"

namespace mlxe {
namespace {

constexpr size_t kMaxTomlBytes = size_t{4} << 20;  // a list of a thousand models has 100 kB

}  // namespace

std::string TomlFile::where(const std::string& pointer) const {
  const auto line = lines.find(pointer);
  return line == lines.end() ? path.string() : fmt::format("{}:{}", path.string(), line->second);
}

TomlFile read_toml(const std::filesystem::path& path) {
  const std::string file = read_whole_file(path, kMaxTomlBytes);
  if (file.size() > kMaxTomlBytes)
    throw Error(ErrorCode::format, fmt::format("{}: expected at most {} bytes of TOML, found more",
                                               path.string(), kMaxTomlBytes));
  RustString text, error;
  check_rust(mlxe_toml_json(file.data(), file.size(), text.out(), error.out()), path.string() + ":", error);
  nlohmann::json both = nlohmann::json::parse(text.view());
  return {path, std::move(both["values"]), both["lines"].get<std::map<std::string, int>>()};
}

}  // namespace mlxe
