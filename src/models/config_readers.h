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
#include "models/activation.h"
#include "models/parameters.h"

namespace mlxe {

// Errors: format (heads of one width do not divide it).
inline void require_divisible(const Config& c, std::string_view width_key, int64_t width,
                              std::string_view heads_key, int64_t heads) {
  if (width % heads != 0)
    throw Error(
        ErrorCode::format,
        fmt::format("{}: \"{}\" is {}, which \"{}\" {} does not divide; each head needs the same width",
                    c.where(), width_key, width, heads_key, heads));
}

// The width under `width_key`. Errors: format (heads of one width do not divide it).
inline int64_t divisible_width(const Config& c, std::string_view width_key, std::string_view heads_key) {
  const int64_t width = c.positive(width_key);
  require_divisible(c, width_key, width, heads_key, c.positive(heads_key));
  return width;
}

// The same for heads with rotary positions, which turn one half of a head's columns against the other.
inline int64_t even_width(const Config& c, std::string_view width_key, std::string_view heads_key) {
  const int64_t width = c.positive(width_key), heads = c.positive(heads_key);
  if (width % (2 * heads) != 0)
    throw Error(ErrorCode::format,
                fmt::format("{}: \"{}\" is {}, expected an even number of columns for each of {} heads",
                            c.where(), width_key, width, heads));
  return width;
}

// Heads with rotary positions whose width is stated. Several may share keys and values.
struct GroupedHeads {
  int64_t heads, kv_heads;
  int64_t size;  // columns of a head
};

// `kv_heads`, `size`: where the keys are absent. "num_key_value_heads" that is null means one for each head. Errors:
// format (heads that cannot be shared evenly, a width that has no halves for rotary positions).
inline GroupedHeads read_grouped_heads(const Config& c, int64_t kv_heads, int64_t size) {
  const int64_t heads = c.positive("num_attention_heads");
  const bool as_heads = c.json().contains("num_key_value_heads") && !c.has("num_key_value_heads");
  const GroupedHeads found{.heads = heads,
                           .kv_heads = c.positive_or("num_key_value_heads", as_heads ? heads : kv_heads),
                           .size = c.positive_or("head_dim", size)};
  if (heads % found.kv_heads != 0)
    throw Error(ErrorCode::format,
                fmt::format("{}: \"num_key_value_heads\" is {}, which does not divide {} heads", c.where(),
                            found.kv_heads, heads));
  if (found.size % 2 != 0)
    throw Error(ErrorCode::format,
                fmt::format("{}: heads have {} columns (\"head_dim\"), expected an even number", c.where(),
                            found.size));
  return found;
}

// "pad_token_id" of a table of positions that begins with the rows of padding, as RoBERTa's does. Errors: format (no
// position is left).
inline int32_t padding_before_positions(const Config& c, int64_t max_positions) {
  const int64_t pad = c.get_or<int64_t>("pad_token_id", 1);
  if (pad < 0 || pad + 1 >= max_positions)
    throw Error(
        ErrorCode::format,
        fmt::format("{}: \"pad_token_id\" is {}, which leaves no position of \"max_position_embeddings\" {}; "
                    "positions start at pad_token_id + 1",
                    c.where(), pad, max_positions));
  return static_cast<int32_t>(pad);
}

// The activation under `key`; `otherwise`: where it is absent. Errors: unsupported (an unknown name).
inline Activation read_activation(const Config& c, std::string_view key, const std::string& otherwise) {
  return parse_activation(c.get_or<std::string>(key, otherwise), fmt::format("{}: \"{}\"", c.where(), key));
}

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
