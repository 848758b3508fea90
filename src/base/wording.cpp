#include "base/wording.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/utf8.h"

namespace mlxe {

std::string listed(std::span<const std::string> items, size_t most, std::string_view separator) {
  const size_t shown = std::min(items.size(), most);
  std::string text = fmt::format("{}", fmt::join(items.first(shown), separator));
  if (items.size() > shown)
    text += fmt::format("{}and {} more", separator == ", " ? " " : separator, items.size() - shown);
  return text;
}

double mib(uint64_t bytes) {
  return static_cast<double>(bytes) / (1 << 20);
}

std::string human_bytes(double bytes) {
  static constexpr std::array kUnits{"bytes", "KiB", "MiB", "GiB", "TiB"};
  size_t unit = 0;
  while (bytes >= 1024 && unit + 1 < kUnits.size()) {
    bytes /= 1024;
    ++unit;
  }
  return fmt::format("{:.{}f} {}", bytes, unit == 0 ? 0 : 1, kUnits[unit]);
}

std::string human_count(double count) {
  if (count >= 1e9) return fmt::format("{:.2f} G", count / 1e9);
  if (count >= 1e6) return fmt::format("{:.2f} M", count / 1e6);
  if (count >= 1e4) return fmt::format("{:.1f} k", count / 1e3);
  return fmt::format("{:.0f}", count);
}

std::string cleaned(std::string_view text) {
  constexpr std::string_view kReplacement = "\xEF\xBF\xBD";
  std::string out;
  while (!text.empty()) {
    const size_t bad = first_invalid_utf8(text);
    for (const char c : text.substr(0, bad)) {
      const bool control =
          (static_cast<unsigned char>(c) < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7F;
      if (control)
        out += kReplacement;
      else
        out += c;
    }
    if (bad == kValidUtf8) break;
    out += kReplacement;
    text.remove_prefix(bad + 1);
  }
  return out;
}

}  // namespace mlxe
