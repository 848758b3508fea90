// Prints JSON values. All JSON output of the program uses this function.
#pragma once

#include <iostream>

namespace mlxe::cli {

// Prints one value and a newline. `indent` -1: on one line. Bytes that are not UTF-8 become U+FFFD.
template <class Json>
void print_json(const Json& value, int indent = -1, std::ostream& out = std::cout) {
  out << value.dump(indent, ' ', false, Json::error_handler_t::replace) << '\n';
}

}  // namespace mlxe::cli
