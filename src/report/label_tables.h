// Tables of scores against gold values and of changed labels.
#pragma once

#include "report/tables.h"

namespace mlxe {

Table task_table(const Comparison& comparison);
Table labels_table(const LabelDifference& difference);
Table moves_table(const LabelDifference& difference);
Table flips_table(const LabelDifference& difference);

}  // namespace mlxe
