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

// A label is a name (case ignored) or the number of a class. Where the name of one class is the number of
// another
// ("1", "2", "3" for the classes 0, 1, 2), that is one choice for all labels: names where all of them are
// names, else numbers; that both would fit is said.
GoldLabels read_gold_labels(std::span<const std::string> gold, std::span<const std::string> names,
                            const Warning& warn);

}  // namespace mlxe
