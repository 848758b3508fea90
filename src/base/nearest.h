// Suggests a known name for one that was mistyped.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace mlxe {

// The known name nearest to `name`: few typing mistakes apart (a letter added, missing, wrong, or two
// swapped), or beginning with `name`. Ignores case. Of equally near names, the first. Empty if none is
// near.
std::string nearest(std::string_view name, std::span<const std::string> known);

}  // namespace mlxe
