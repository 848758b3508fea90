// Who can load a model folder, and why not.
#pragma once

#include <filesystem>
#include <vector>

#include "mlx_encoder/inspect.h"

namespace mlxe {

class Checkpoint;

// mlx-encoder itself, Python's mlx-embeddings, and any loader that follows mlx-lm's layout.
std::vector<ReaderVerdict> judge_readers(Checkpoint& checkpoint);

// What `--layout mlx-embeddings` promises of the folder `written`, to be `output`. Errors: unsupported (every
// reason why not), those of Checkpoint::open.
void require_mlx_embeddings_loads(const std::filesystem::path& written, const std::filesystem::path& output);

}  // namespace mlxe
