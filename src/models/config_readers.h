// What several families read from config.json in the same way.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "format/config.h"
#include "format/json_file.h"
#include "mlx_encoder/error.h"
#include "models/parameters.h"

namespace mlxe {

// Absent is false.
inline Bias bias_if(const Config& c, std::string_view key) {
  return c.get_or<bool>(key, false) ? Bias::yes : Bias::no;
}

// One of two names of a setting: the one that config.json has, or else the first. Errors: format (both are there, with
// different values).
inline std::string_view either(const Config& c, std::string_view name, std::string_view other) {
  c.harmless({name, other});
  if (!c.has(other)) return name;
  if (c.has(name) && c.json().at(name) != c.json().at(other))
    throw Error(ErrorCode::format,
                fmt::format("{}: \"{}\" is {}, but \"{}\" is {}, and they mean the same; keep one", c.where(),
                            name, c.json().at(name).dump(), other, c.json().at(other).dump()));
  return other;
}

// The base of rotary positions without scaling. transformers 4 writes `key` and "rope_scaling", transformers 5
// "rope_parameters". The base is required, because the defaults of versions differ. Errors: format (no base),
// unsupported (a scaling).
inline float plain_rotary_base(const Config& c, std::string_view key = "rope_theta") {
  constexpr const char* kScaledRotary = "only plain rotary positions are computed";
  double base = c.non_negative_number_or(key, 0);
  for (const char* object : {"rope_parameters", "rope_scaling"}) {
    c.harmless({object});
    if (!c.has(object)) continue;
    const Config own = c.object(object);
    own.reject_unless("rope_type", {"default"}, kScaledRotary);
    own.reject_unless("type", {"default"}, kScaledRotary);
    base = own.non_negative_number_or("rope_theta", base);
    if (const std::vector<std::string> unknown = own.unused_keys(); !unknown.empty())
      throw Error(ErrorCode::unsupported,
                  fmt::format("{}: has {}; {}", own.where(), printable(unknown[0]), kScaledRotary));
  }
  if (!(base > 0))
    throw Error(ErrorCode::format,
                fmt::format("{}: no positive \"{}\", the base of rotary positions", c.where(), key));
  return static_cast<float>(base);
}

// Accepts "auto_map", which names Python code of the model's authors, if all of it is classes of the family: their
// names begin with one of `prefixes`. That code is what the family's plan computes. `family`: its name, where it is not
// the "model_type". Errors: unsupported.
inline void require_own_code(const Config& c, std::initializer_list<std::string_view> prefixes,
                             const std::string& family = {}) {
  c.harmless({"auto_map"});
  if (!c.has("auto_map")) return;
  const auto of_family = [&](const nlohmann::json& value) {
    if (!value.is_string()) return false;
    const std::string text = value.get<std::string>();
    const std::string_view name = std::string_view(text).substr(text.rfind('.') + 1);
    return std::ranges::any_of(prefixes, [&](std::string_view prefix) { return name.starts_with(prefix); });
  };
  const nlohmann::json& map = c.json().at("auto_map");
  for (const auto& [key, value] : map.items())
    if (!map.is_object() || !of_family(value))
      throw Error(
          ErrorCode::unsupported,
          fmt::format("{}: \"auto_map\" has {}, which is not the code of a {}; the model brings its own "
                      "Python code, which this library can't run",
                      c.where(), shown(value),
                      printable(family.empty() ? c.get<std::string>("model_type") : family)));
}

}  // namespace mlxe
