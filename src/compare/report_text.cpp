#include "compare/report_text.h"

#include "base/utf8.h"

namespace mlxe {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

bool is_continuation(char c) {
  return (static_cast<unsigned char>(c) & 0xC0) == 0x80;
}

// `text` with bytes that are not UTF-8, and control characters other than white space, replaced.
std::string cleaned(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t bad = first_invalid_utf8(text);
    for (char c : text.substr(0, bad)) {
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

}  // namespace

std::string html_escape(std::string_view text) {
  std::string out;
  for (char c : cleaned(text)) switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  return out;
}

std::string markdown_escape(std::string_view text) {
  std::string out;
  for (char c : cleaned(text)) switch (c) {
      case '\n':
      case '\r':
      case '\t':
        out += ' ';
        break;
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '\\':
      case '|':
      case '`':
      case '*':
      case '_':
      case '[':
      case ']':
      case '#':
      case '~':
      case '>':
      case '!':
        out += '\\';
        [[fallthrough]];
      default:
        out += c;
    }
  return out;
}

std::string shortened(std::string_view text, size_t characters) {
  size_t seen = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (is_continuation(text[i])) continue;
    if (seen++ == characters) return std::string(text.substr(0, i)) + "\xE2\x80\xA6";
  }
  return std::string(text);
}

}  // namespace mlxe
