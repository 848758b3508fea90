#include "hub/hub_name.h"

#include <algorithm>

#include "mlx_encoder/hub.h"

namespace mlxe {
namespace {

constexpr size_t kMostCharacters = 96;  // of a repository's name, as on the hub

bool is_letter_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool is_name_part(std::string_view part) {
  const auto allowed = [](char c) { return is_letter_or_digit(c) || c == '-' || c == '_' || c == '.'; };
  const auto at_the_edge = [](char c) { return c != '-' && c != '.'; };
  return !part.empty() && std::ranges::all_of(part, allowed) && at_the_edge(part.front()) &&
         at_the_edge(part.back()) && part.find("--") == part.npos && part.find("..") == part.npos;
}

}  // namespace

bool is_inside_path(std::string_view path) {
  const auto is_bad = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F || c == '\\'; };
  if (std::ranges::any_of(path, is_bad)) return false;
  for (;;) {
    const size_t slash = path.find('/');
    const std::string_view name = path.substr(0, slash);
    if (name.empty() || name == "." || name == "..") return false;
    if (slash == path.npos) return true;
    path.remove_prefix(slash + 1);
  }
}

std::optional<HubName> parse_hub_name(std::string_view text) {
  HubName name;
  if (const size_t at = text.find('@'); at != text.npos) {
    name.revision = text.substr(at + 1);
    text = text.substr(0, at);
    if (!is_inside_path(name.revision)) return std::nullopt;
  }
  const size_t slash = text.find('/');
  const bool valid = slash == text.npos
                         ? is_name_part(text)
                         : is_name_part(text.substr(0, slash)) && is_name_part(text.substr(slash + 1));
  if (!valid || text.size() > kMostCharacters || text.ends_with(".git")) return std::nullopt;
  name.repo = text;
  return name;
}

bool is_hub_name(std::string_view text) {
  return parse_hub_name(text).has_value();
}

}  // namespace mlxe
