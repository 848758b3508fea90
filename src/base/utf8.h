// UTF-8: validation (RFC 3629: no overlong forms, no surrogates, nothing past U+10FFFF), and code points.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace mlxe {

inline constexpr size_t kValidUtf8 = static_cast<size_t>(-1);

// The offset of the first byte that starts no valid sequence, or kValidUtf8.
inline size_t first_invalid_utf8(std::string_view text) noexcept {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  for (size_t i = 0; i < text.size();) {
    const unsigned char lead = byte(i);
    if (lead < 0x80) {
      ++i;
      continue;
    }
    const size_t length = lead >= 0xc2 && lead <= 0xdf   ? 2
                          : lead >= 0xe0 && lead <= 0xef ? 3
                          : lead >= 0xf0 && lead <= 0xf4 ? 4
                                                         : 0;
    if (length == 0 || text.size() - i < length) return i;
    // The second byte carries the limits that exclude overlong forms, surrogates and values past U+10FFFF.
    const unsigned char low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    const unsigned char high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (byte(i + 1) < low || byte(i + 1) > high) return i;
    for (size_t k = 2; k < length; ++k)
      if (byte(i + k) < 0x80 || byte(i + k) > 0xbf) return i;
    i += length;
  }
  return kValidUtf8;
}

// Whether a code point of valid UTF-8 begins with the byte.
inline bool begins_code_point(char byte) noexcept {
  return (static_cast<unsigned char>(byte) & 0xc0) != 0x80;
}

// Number of code points of valid UTF-8.
inline int32_t code_points(std::string_view text) noexcept {
  int32_t count = 0;
  for (const char byte : text) count += begins_code_point(byte);
  return count;
}

}  // namespace mlxe
