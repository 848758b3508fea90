#include "base/wording.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <utility>

#include "base/hub_folder.h"
#include "base/text.h"
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

std::optional<uint64_t> parse_bytes(const std::string& text) {
  size_t end = std::min(text.find_first_not_of("0123456789+-.eE"), text.size());
  const std::optional<double> value = finite_number(std::string_view(text).substr(0, end));
  if (!value) return std::nullopt;
  while (end < text.size() && text[end] == ' ') ++end;
  std::string unit;
  for (size_t i = end; i < text.size(); ++i)
    unit += static_cast<char>(std::toupper(static_cast<unsigned char>(text[i])));
  constexpr std::pair<const char*, double> kUnits[] = {
      {"", 1},      {"B", 1},        {"KB", 1e3},     {"MB", 1e6},     {"GB", 1e9},
      {"TB", 1e12}, {"KIB", 0x1p10}, {"MIB", 0x1p20}, {"GIB", 0x1p30}, {"TIB", 0x1p40}};
  for (const auto& [name, factor] : kUnits)
    if (unit == name && *value * factor >= 1 && *value * factor < 0x1p62)
      return static_cast<uint64_t>(*value * factor);
  return std::nullopt;
}

std::string folder_name(const std::string& folder) {
  if (folder.empty()) return {};
  if (const std::string hub = hub_name_of(folder); !hub.empty()) return hub;
  std::filesystem::path path = std::filesystem::absolute(folder).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();
  const std::string name = path.filename().string(), parent = path.parent_path().filename().string();
  return name == "model" && !parent.empty() ? parent + "/" + name : name;
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
    const std::string_view valid = text.substr(0, bad);
    for (size_t i = 0; i < valid.size(); ++i) {
      const auto byte = static_cast<unsigned char>(valid[i]);
      const auto next = static_cast<unsigned char>(i + 1 < valid.size() ? valid[i + 1] : 0);
      if ((byte < 0x20 && byte != '\t' && byte != '\n') || byte == 0x7F) {
        out += fmt::format("\\u{:04x}", byte);
      } else if (byte == 0xC2 && next < 0xA0) {  // U+0080 to U+009F: control characters of terminals
        out += fmt::format("\\u{:04x}", next);
        ++i;
      } else {
        out += valid[i];
      }
    }
    if (bad == kValidUtf8) break;
    out += kReplacement;
    text.remove_prefix(bad + 1);
  }
  return out;
}

}  // namespace mlxe
