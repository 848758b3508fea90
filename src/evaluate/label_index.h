// Reading the gold labels of a data file as a model's.
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
  std::optional<size_t>
      misfit;              // the first label that is none of the model's, as the labels before it are read
  bool by_number = false;  // all were read as numbers
};

// A label is a class name (case ignored) or a class number. If one class's name is another class's number
// ("1", "2", "3" for the classes 0, 1, 2), all labels are read the same way: as names if all are names, else
// as numbers. A warning is given if both would fit.
GoldLabels read_gold_labels(std::span<const std::string> gold, std::span<const std::string> names,
                            const Warning& warn);

}  // namespace mlxe
