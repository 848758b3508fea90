// The machine a measurement was made on, in one line: processor, cores, memory, operating system, load.
#pragma once

#include <string>

namespace mlxe {

std::string describe_machine();
std::string utc_date();  // "2026-01-31"

}  // namespace mlxe
