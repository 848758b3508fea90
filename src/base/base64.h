// Bytes as text: the standard alphabet of RFC 4648, padded.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace mlxe {

std::string base64(std::span<const std::byte> bytes);

}  // namespace mlxe
