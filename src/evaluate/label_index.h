// Maps the gold labels of a data file to the labels of a model.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "mlx_encoder/types.h"

namespace mlxe {

struct GoldLabels {
  std::vector<int64_t> indices;  // into the model's labels; complete unless `misfit`
  std::optional<size_t> misfit;  // the first label that the model does not have
  bool by_number = false;        // all labels were read as numbers
};

// A label is a class name (case ignored) or a class number. If one class's name is another class's number
// ("1", "2", "3" for the classes 0, 1, 2), all labels are read the same way: as names if all are names, else
// as numbers. A warning is given if both would fit.
GoldLabels read_gold_labels(std::span<const std::string> gold, std::span<const std::string> names,
                            const Warning& warn);

}  // namespace mlxe
