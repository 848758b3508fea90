// Tables of bytes by part and scheme, memory and time.
#pragma once

#include "report/tables.h"

namespace mlxe {

Table summary_table(const Comparison& comparison);
Table parts_table(const Comparison& comparison);

}  // namespace mlxe
