// Who can load a model folder, and why not.
#pragma once

#include <vector>

#include "mlx_encoder/inspect.h"

namespace mlxe {

class Checkpoint;

// mlx-encoder itself, Python's mlx-embeddings, and any loader that follows mlx-lm's layout.
std::vector<ReaderVerdict> judge_readers(Checkpoint& checkpoint);

}  // namespace mlxe
