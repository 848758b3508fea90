// Every JSON value the program prints.
#pragma once

#include <iostream>

namespace mlxe::cli {

// One value and a newline, whole or not at all; `indent` -1: on one line. A file name that is not UTF-8 shows
// U+FFFD.
template <class Json>
void print_json(const Json& value, int indent = -1, std::ostream& out = std::cout) {
  out << value.dump(indent, ' ', false, Json::error_handler_t::replace) << '\n';
}

}  // namespace mlxe::cli
