// JSON values as text. All JSON output of the program uses these functions.
#pragma once

#include <iostream>
#include <string>

namespace mlxe::cli {

// One value and a newline. `indent` -1: on one line. Bytes that are not UTF-8 become U+FFFD.
template <class Json>
std::string json_line(const Json& value, int indent = -1) {
  return value.dump(indent, ' ', false, Json::error_handler_t::replace) + '\n';
}

template <class Json>
void print_json(const Json& value, int indent = -1, std::ostream& out = std::cout) {
  out << json_line(value, indent);
}

}  // namespace mlxe::cli
