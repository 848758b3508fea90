// Tensors transformers makes one with another when it loads a model, whatever the file says of them.
#pragma once

#include "format/checkpoint.h"

namespace mlxe {

// Whether the output matrix of a masked language model is the table of words, unless config.json says otherwise.
bool ties_words(const Config& config);

// The tensor that transformers uses instead of this one, which is a copy of it as a rule. Null: none.
const CheckpointTensor* tied_to(const Checkpoint& checkpoint, const CheckpointTensor& tensor);

}  // namespace mlxe
