// Whether Python's mlx-lm 0.32.2 loads a model folder. Of our families it has Qwen3 and Gemma 3. It takes names as they are
// in the file, with the prefix "model."; one tensor too many, too few or of another shape is an error.
#pragma once

#include "format/checkpoint.h"
#include "mlx_encoder/inspect.h"

namespace mlxe {

ReaderVerdict judge_mlx_lm(Checkpoint& checkpoint);

}  // namespace mlxe
