// What a conversion saves: bytes by part and scheme, memory, time.
#pragma once

#include "report/tables.h"

namespace mlxe {

Table summary_table(const Comparison& comparison);
Table parts_table(const Comparison& comparison);

}  // namespace mlxe
