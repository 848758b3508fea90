// Maps the gold labels of a data file to the labels of a model.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "mlx_encoder/types.h"

namespace mlxe {

// Classes by their names. A name with the same letters, in the same case, goes before one in another case.
class ClassNames {
 public:
  explicit ClassNames(std::span<const std::string> names);
  // All classes that a label may mean: more than one where names repeat.
  const std::vector<int64_t>& classes(const std::string& label) const;

 private:
  std::map<std::string, std::vector<int64_t>> exact_, lower_case_;
};

// Makes names unique, so that each class has its own: a name of several classes gets the class's number, "a (2)".
std::vector<std::string> distinct_names(std::vector<std::string> names);

struct GoldLabels {
  std::vector<int64_t> indices;  // into the model's labels; complete unless `misfit`
  // The first label that the model does not have, or that several of its classes have.
  std::optional<size_t> misfit;
  bool by_number = false;  // all labels were read as numbers
};

// A label is a class name (case ignored unless names differ in nothing else) or a class number. If one class's
// name is another class's number ("1", "2", "3" for the classes 0, 1, 2), all labels are read the same way: as
// names if all are names, else as numbers. A warning is given if both would fit.
GoldLabels read_gold_labels(std::span<const std::string> gold, std::span<const std::string> names,
                            const Warning& warn);

}  // namespace mlxe
