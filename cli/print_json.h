// JSON values on standard output. All JSON output of the program uses this function.
#pragma once

#include <iostream>

#include "format/json_line.h"

namespace mlxe::cli {

template <class Json>
void print_json(const Json& value, int indent = -1, std::ostream& out = std::cout) {
  out << json_line(value, indent);
}

}  // namespace mlxe::cli
