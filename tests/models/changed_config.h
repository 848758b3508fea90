// A config.json with some keys changed.
#pragma once

#include <nlohmann/json.hpp>

#include "format/config.h"

namespace mlxe::test {

// Sets each key of `changes`; "absent" removes it.
inline Config changed(nlohmann::json all, const nlohmann::json& changes) {
  for (const auto& [key, value] : changes.items()) {
    if (value == "absent")
      all.erase(key);
    else
      all[key] = value;
  }
  return Config::parse(all.dump(), "config.json");
}

}  // namespace mlxe::test
