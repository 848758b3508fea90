// Which known architecture a checkpoint of an unknown "model_type" resembles.
#pragma once

#include <string>

#include "format/checkpoint.h"

namespace mlxe {

// A part of a sentence, for an error: the architecture that fits the checkpoint's config.json and tensors best, and what
// differs. Canonicalizes the checkpoint's names.
std::string nearest_architecture(Checkpoint& checkpoint);

}  // namespace mlxe
