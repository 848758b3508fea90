// The texts and items on which a model of a sweep is measured.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "evaluate/answers.h"
#include "mlx_encoder/matrix.h"

namespace mlxe {

struct ModelItems {
  CompareInput compared;
  std::optional<TaskData> task;
  std::vector<std::string> warnings;        // of reading the files
  std::optional<Answers> original_answers;  // set after the original ran
};

// Without `texts`, the texts of the task's items are compared: sentences, pairs, queries and documents. Errors: those of
// reading the files.
ModelItems read_items(const SweepModel& model);

}  // namespace mlxe
