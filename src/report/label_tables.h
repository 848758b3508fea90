// What a conversion changes about answers: scores against gold values, labels that changed.
#pragma once

#include "report/tables.h"

namespace mlxe {

Table task_table(const Comparison& comparison);
Table labels_table(const LabelDifference& difference);
Table moves_table(const LabelDifference& difference);
Table flips_table(const LabelDifference& difference);

}  // namespace mlxe
