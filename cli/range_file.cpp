#include "range_file.h"

#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/output_file.h"
#include "base/text.h"
#include "base/whole_file.h"
#include "format/json_file.h"
#include "mlx_encoder/error.h"
#include "vectors/npy.h"

namespace mlxe::cli {
namespace {

constexpr size_t kMostRangeBytes = size_t{64} << 20;

[[noreturn]] void refuse_range_file(const std::filesystem::path& path, const std::string& why) {
  throw Error(ErrorCode::format, fmt::format("{}: {}", path.string(), why));
}

bool is_npy(const std::filesystem::path& path) {
  const std::string ending = ending_of(path);
  if (ending != ".npy" && ending != ".json")
    throw Error(ErrorCode::usage,
                fmt::format("{}: a file of ranges ends in .npy or .json; name such a file", path.string()));
  return ending == ".npy";
}

VectorRanges npy_ranges(const std::filesystem::path& path, std::string_view bytes) {
  const NpyMatrix matrix = parse_npy(path, bytes);
  if (matrix.rows != 2)
    refuse_range_file(
        path, fmt::format("has the shape [{}, {}], expected [2, columns]: the lowest values, the highest",
                          matrix.rows, matrix.columns));
  const auto middle = matrix.values.begin() + static_cast<std::ptrdiff_t>(matrix.columns);
  return {{matrix.values.begin(), middle}, {middle, matrix.values.end()}, matrix.dtype == Dtype::f64};
}

VectorRanges json_ranges(const std::filesystem::path& path, std::string_view text) {
  const nlohmann::json json = parse_json(text, path.string());
  VectorRanges ranges;
  for (auto [key, values] : {std::pair("lowest", &ranges.lowest), std::pair("highest", &ranges.highest)}) {
    if (!json.is_object() || !json.contains(key) || !json.at(key).is_array())
      refuse_range_file(
          path, fmt::format("has no list \"{}\"; expected {{\"lowest\": [...], \"highest\": [...]}}", key));
    for (const nlohmann::json& value : json.at(key)) {
      if (!value.is_number())
        refuse_range_file(path, fmt::format("\"{}\" holds {}, expected numbers", key, shown(value)));
      values->push_back(static_cast<float>(value.get<double>()));
    }
  }
  if (ranges.lowest.size() != ranges.highest.size())
    refuse_range_file(path, fmt::format("has {} lowest and {} highest values, expected as many",
                                        ranges.lowest.size(), ranges.highest.size()));
  return ranges;
}

std::string npy_text(const VectorRanges& ranges) {
  std::string text = npy_header(Dtype::f32, 2, static_cast<int64_t>(ranges.lowest.size()));
  for (const auto* side : {&ranges.lowest, &ranges.highest})
    for (const double value : *side) {
      const auto single = static_cast<float>(value);
      text.append(reinterpret_cast<const char*>(&single), sizeof(single));
    }
  return text;
}

}  // namespace

VectorRanges read_ranges(const std::filesystem::path& path, VectorPrecision precision) {
  if (!needs_ranges(precision))
    throw Error(
        ErrorCode::usage,
        fmt::format("--ranges: {} has no ranges, int8 and uint8 have; leave one out", name(precision)));
  const bool npy = is_npy(path);
  const std::string bytes = read_whole_file(path, kMostRangeBytes);
  if (bytes.size() > kMostRangeBytes)
    refuse_range_file(path, fmt::format("is larger than {} bytes, too large for ranges", kMostRangeBytes));
  VectorRanges ranges = npy ? npy_ranges(path, bytes) : json_ranges(path, bytes);
  for (size_t i = 0; i < ranges.lowest.size(); ++i) {
    const double low = ranges.lowest[i], high = ranges.highest[i];
    if (!std::isfinite(low) || !std::isfinite(high) || low > high)
      refuse_range_file(
          path, fmt::format("column {}: the range is {} to {}, expected two finite numbers, the lower one "
                            "first",
                            i, low, high));
  }
  return ranges;
}

void require_range_file(const std::filesystem::path& path) {
  is_npy(path);
  require_writable(path);
}

void write_ranges(const std::filesystem::path& path, const VectorRanges& ranges) {
  const bool npy = is_npy(path);
  write_whole_file(
      path, npy ? npy_text(ranges)
                : nlohmann::json{{"lowest", ranges.lowest}, {"highest", ranges.highest}}.dump() + "\n");
}

}  // namespace mlxe::cli
