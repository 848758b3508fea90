// Keys of config.json for decoders' heads: several heads may share keys and values, and their width is stated.
#pragma once

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "format/config.h"
#include "mlx_encoder/error.h"

namespace mlxe {

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
                fmt::format("{}: \"head_dim\" is {}, expected an even number", c.where(), found.size));
  return found;
}

}  // namespace mlxe
