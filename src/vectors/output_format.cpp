#include "vectors/output_format.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "base/output_file.h"
#include "base/text.h"
#include "format/json_file.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

// "a, b or c", each after `before`.
std::string alternatives(std::span<const std::string_view> names, std::string_view before) {
  std::string text;
  for (size_t i = 0; i < names.size(); ++i)
    text += fmt::format("{}{}{}", i == 0 ? "" : i + 1 == names.size() ? " or " : ", ", before, names[i]);
  return text;
}

}  // namespace

size_t output_format(const std::filesystem::path& path, const std::string& format,
                     std::span<const std::string_view> formats) {
  const std::string ending = ending_of(path);
  const auto found = std::ranges::find_if(formats, [&](std::string_view name) {
    return format.empty() ? ending == "." + std::string(name) : format == name;
  });
  if (found != formats.end()) return static_cast<size_t>(found - formats.begin());
  if (!format.empty())
    throw Error(ErrorCode::usage,
                fmt::format("--output-format {}: expected {}", printable(format), alternatives(formats, "")));
  if (!regular_output(path)) return 0;
  throw Error(ErrorCode::usage, fmt::format("{}: expected a name that ends in {}; or give --output-format",
                                            path.string(), alternatives(formats, ".")));
}

}  // namespace mlxe
