// JSON values as text. All JSON output uses this function.
#pragma once

#include <string>

namespace mlxe {

// One value and a newline. `indent` -1: on one line. Bytes that are not UTF-8 become U+FFFD.
template <class Json>
std::string json_line(const Json& value, int indent = -1) {
  return value.dump(indent, ' ', false, Json::error_handler_t::replace) + '\n';
}

}  // namespace mlxe
