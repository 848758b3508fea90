// Finding the label a data file means among a model's.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/text.h"

namespace mlxe {

class LabelIndex {
 public:
  explicit LabelIndex(std::span<const std::string> names) {
    for (size_t i = 0; i < names.size(); ++i) known_.emplace(lowercase(names[i]), static_cast<int64_t>(i));
    for (size_t i = 0; i < names.size(); ++i) known_.emplace(std::to_string(i), static_cast<int64_t>(i));
  }

  // By name, case ignored, else by number; nothing for what is neither.
  std::optional<int64_t> find(std::string_view label) const {
    const auto found = known_.find(lowercase(label));
    return found == known_.end() ? std::nullopt : std::optional(found->second);
  }

 private:
  std::map<std::string, int64_t> known_;
};

}  // namespace mlxe
