// Suggests a known name for one that was mistyped.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace mlxe {

// The known name that few typing mistakes (a letter too many, missing, wrong, or two swapped) make of `name`,
// or that `name` begins; empty: none is near. Letters are compared without case. Of equals the first.
std::string nearest(std::string_view name, std::span<const std::string> known);

}  // namespace mlxe
