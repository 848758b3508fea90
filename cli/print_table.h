// A table of words for a terminal.
#pragma once

#include "report/tables.h"

namespace mlxe::cli {

void print_table(const Table& table);  // on standard output, an empty line before it

}  // namespace mlxe::cli
