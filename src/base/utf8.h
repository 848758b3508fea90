// UTF-8: validation (RFC 3629: no overlong forms, no surrogates, nothing past U+10FFFF), and code points.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

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

// A valid UTF-8 text by the numbers of its code points. The text must outlive it.
class CodePoints {
 public:
  explicit CodePoints(std::string_view text) : text_(text) {
    for (size_t i = 0; i < text.size(); ++i)
      if (begins_code_point(text[i])) begins_.push_back(i);
    begins_.push_back(text.size());
  }
  // Code points [begin, end), as far as the text has them.
  std::string_view part(int32_t begin, int32_t end) const {
    const size_t from = byte(begin), to = byte(end);
    return from < to ? text_.substr(from, to - from) : std::string_view();
  }

 private:
  size_t byte(int32_t code_point) const {
    return begins_[std::min(static_cast<size_t>(code_point), begins_.size() - 1)];
  }

  std::string_view text_;
  std::vector<size_t> begins_;
};

}  // namespace mlxe
