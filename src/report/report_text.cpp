#include "report/report_text.h"

#include "base/utf8.h"
#include "base/wording.h"

namespace mlxe {
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
    if (!begins_code_point(text[i])) continue;
    if (seen++ == characters) return std::string(text.substr(0, i)) + "\xE2\x80\xA6";
  }
  return std::string(text);
}

}  // namespace mlxe
