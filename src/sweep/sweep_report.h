// A sweep as a table of words: what the terminal and matrix.md show.
#pragma once

#include <string>
#include <vector>

#include "mlx_encoder/matrix.h"
#include "report/tables.h"

namespace mlxe {

Table sweep_table(const SweepResult& result);

// A sentence for each model: what to take of it.
std::vector<std::string> recommendations(const SweepResult& result);
// A sentence for each gate that failed, and each cell that could not be made.
std::vector<std::string> problems(const SweepResult& result);

}  // namespace mlxe
