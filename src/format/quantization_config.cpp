#include "format/quantization_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "format/json_file.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

// The values that mx.quantize accepts. The first of each list is the default of mlx.nn's _defaults_for_mode.
struct ModeRow {
  const char* spelling;
  Mode mode;
  std::vector<int> group_sizes, bits;
};
const ModeRow kModes[] = {
    {"affine", Mode::affine, {64, 32, 128}, {4, 2, 3, 5, 6, 8}},
    {"mxfp4", Mode::mxfp4, {32}, {4}},
    {"mxfp8", Mode::mxfp8, {32}, {8}},
    {"nvfp4", Mode::nvfp4, {16}, {4}},
};

int choice(const Config& config, std::string_view key, const std::vector<int>& legal, std::string_view mode) {
  const int value = config.get_or<int>(key, legal.front());
  if (std::find(legal.begin(), legal.end(), value) != legal.end()) return value;
  throw Error(ErrorCode::format, fmt::format("{}: \"{}\" is {}, expected one of {} for mode \"{}\"",
                                             config.where(), key, value, fmt::join(legal, ", "), mode));
}

Scheme read_scheme(const Config& config) {
  const std::string mode = config.get_or<std::string>("mode", "affine");
  for (const ModeRow& row : kModes)
    if (mode == row.spelling)
      return {.mode = row.mode,
              .bits = choice(config, "bits", row.bits, mode),
              .group_size = choice(config, "group_size", row.group_sizes, mode)};
  throw Error(ErrorCode::unsupported,
              fmt::format("{}: \"mode\" is {}, expected affine, mxfp4, mxfp8 or nvfp4", config.where(),
                          printable(mode)));
}

}  // namespace

QuantizationConfig QuantizationConfig::read(const Config& config, const Warning& warn) {
  const bool own = config.has("quantization");
  if (!own && !config.has("quantization_config")) return {};
  const Config dictionary = config.object(own ? "quantization" : "quantization_config");
  if (own && config.has("quantization_config") && warn &&
      config.object("quantization_config").json() != dictionary.json())
    warn(fmt::format("{}: \"quantization\" and \"quantization_config\" differ; the first was used",
                     config.where()));

  if (dictionary.has("quant_method"))
    if (const auto method = dictionary.get<std::string>("quant_method"); method != "mlx")
      throw Error(
          ErrorCode::unsupported,
          fmt::format(
              "{}: quant_method {} is another tool's quantization; convert from the original float model",
              dictionary.where(), printable(method)));

  QuantizationConfig result;
  result.where_ = dictionary.where();
  result.global_ = read_scheme(dictionary);
  // For MLX's Swift loader. They repeat the mode.
  dictionary.harmless({"linear_class", "quantization_mode"});
  for (const auto& [key, value] : dictionary.json().items()) {
    if (value.is_boolean()) {
      result.overrides_[key] = value.get<bool>() ? result.global_ : std::nullopt;
      dictionary.harmless({key});
    } else if (value.is_object()) {
      const Config override_values = dictionary.object(key);
      result.overrides_[key] = read_scheme(override_values);
      override_values.warn_unknown(warn);
    }
  }
  dictionary.warn_unknown(warn);
  return result;
}

QuantizationConfig::Choice QuantizationConfig::choose(std::span<const std::string> names) const {
  Choice chosen{global_, {}};
  for (const std::string& name : names) {
    const auto it = overrides_.find(name);
    if (it == overrides_.end() || it->first == chosen.key) continue;
    if (!chosen.key.empty() && chosen.scheme != it->second)
      throw Error(ErrorCode::format, fmt::format("{}: {} and {} name the same module and differ; keep one",
                                                 where_, printable(chosen.key), printable(it->first)));
    if (chosen.key.empty()) chosen = {it->second, it->first};
  }
  return chosen;
}

}  // namespace mlxe
