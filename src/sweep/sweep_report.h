// A sweep as a table of text, for the terminal and matrix.md.
#pragma once

#include <string>
#include <vector>

#include "mlx_encoder/matrix.h"
#include "report/tables.h"

namespace mlxe {

Table sweep_table(const SweepResult& result);

// A sentence for each model: its recommended scheme.
std::vector<std::string> recommendations(const SweepResult& result);
// A sentence for each gate that failed, and each cell that could not be made.
std::vector<std::string> problems(const SweepResult& result);

}  // namespace mlxe
