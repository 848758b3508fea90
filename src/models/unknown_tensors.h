// Tensors that show that a checkpoint is another architecture than its config.json says.
#pragma once

#include <string>
#include <vector>

#include "format/checkpoint.h"
#include "models/model.h"

namespace mlxe {

// What happens to them. A model that is computed without them gives other results than its original.
enum class UnknownTensors { refuse, accept };

// The weights under the names of the model's layers ("encoder.layer.0.") that no operation reads, such as those of an
// adapter or of a norm that the architecture does not have. Names as in the files. Layers beyond the number in config.json
// do not count: transformers leaves them out, too.
std::vector<std::string> unknown_tensors(const Checkpoint& checkpoint, const Model& model);

// Errors: unsupported (there are such tensors).
void require_no_unknown_tensors(const Checkpoint& checkpoint, const Model& model);

}  // namespace mlxe
