// Prints a table on a terminal.
#pragma once

#include "report/tables.h"

namespace mlxe::cli {

void print_table(const Table& table);  // on standard output, after an empty line

}  // namespace mlxe::cli
