// Which part of an encoder a tensor belongs to: where the bytes go.
#pragma once

#include <string_view>

#include "models/parameters.h"

namespace mlxe {

// By canonical name: "embeddings", "attention", "feed-forward", "norms" or "head".
inline const char* component_of(std::string_view name, Role role) {
  if (role == Role::norm) return "norms";
  if (role == Role::relative_bias) return "attention";
  if (name.starts_with("embeddings")) return "embeddings";
  for (const std::string_view head : {"pooler.", "classifier.", "pre_classifier."})
    if (name.starts_with(head)) return "head";
  const bool attends = name.find(".attention.") != name.npos || name.find(".attn.") != name.npos;
  return attends ? "attention" : "feed-forward";
}

}  // namespace mlxe
