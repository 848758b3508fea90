// "layer_types" of config.json: which layers attend to all tokens, and which to a sliding window.
#pragma once

#include <fmt/format.h>

#include <string>
#include <vector>

#include "format/config.h"
#include "format/json_file.h"
#include "mlx_encoder/error.h"

namespace mlxe {

inline constexpr const char* kFullAttention = "full_attention";
inline constexpr const char* kSlidingAttention = "sliding_attention";

// For each layer, whether it has a sliding window. Without the key: `otherwise`. Errors: format (not one entry for each
// layer), unsupported (an unknown kind of layer).
inline std::vector<bool> sliding_layers(const Config& c, std::vector<bool> otherwise) {
  if (!c.has("layer_types")) {
    c.harmless({"layer_types"});
    return otherwise;
  }
  const auto types = c.get<std::vector<std::string>>("layer_types");
  if (types.size() != otherwise.size())
    throw Error(ErrorCode::format,
                fmt::format("{}: \"layer_types\" has {} entries, \"num_hidden_layers\" is {}", c.where(),
                            types.size(), otherwise.size()));
  std::vector<bool> slides;
  for (const std::string& type : types) {
    if (type != kFullAttention && type != kSlidingAttention)
      throw Error(ErrorCode::unsupported,
                  fmt::format("{}: \"layer_types\" has {}; this version knows {} and {}", c.where(),
                              printable(type), kFullAttention, kSlidingAttention));
    slides.push_back(type == kSlidingAttention);
  }
  return slides;
}

}  // namespace mlxe
