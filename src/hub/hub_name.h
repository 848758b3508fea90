// Names of models on the Hugging Face hub.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace mlxe {

struct HubName {
  std::string repo;               // "org/name" or "name"
  std::string revision = "main";  // a branch, tag or commit: "v1.0", "refs/pr/3"
};

// "org/name@revision". None if the text cannot be a name: other characters than the hub allows, a part that
// begins or ends with "-" or ".", or holds "--" or "..".
std::optional<HubName> parse_hub_name(std::string_view text);

// Whether a path from the network or a cache stays inside its folder and is safe in a message: relative, with "/"
// between names, none of them "", "." or "..", no backslash, no control characters.
bool is_inside_path(std::string_view path);

}  // namespace mlxe
