// Escapes foreign text (model folders, sentences, labels) for a report.
#pragma once

#include <string>
#include <string_view>

namespace mlxe {

// For element content and quoted attributes. Bytes that are not UTF-8 and control characters become U+FFFD.
std::string html_escape(std::string_view text);

// For a table cell or a line of GitHub Markdown: markup characters escaped, line breaks made spaces.
std::string markdown_escape(std::string_view text);

// At most `characters` code points. A cut text ends with an ellipsis.
std::string shortened(std::string_view text, size_t characters);

}  // namespace mlxe
