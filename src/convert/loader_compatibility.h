// Who can load a model folder, and why not.
#pragma once

#include <filesystem>
#include <vector>

#include "convert/folder_tokenizer.h"
#include "mlx_encoder/inspect.h"

namespace mlxe {

class Checkpoint;

// mlx-encoder itself, Python's mlx-embeddings, and any loader that follows mlx-lm's layout. `tokenizer`: the
// folder's.
std::vector<ReaderVerdict> judge_loaders(Checkpoint& checkpoint, const FolderTokenizer& tokenizer);

// What `--layout mlx-embeddings` promises of the folder `written`, to be `output`. Errors: unsupported (every
// reason why not), those of Checkpoint::open.
void require_mlx_embeddings_loads(const std::filesystem::path& written, const FolderTokenizer& tokenizer,
                                  const std::filesystem::path& output);

// Loads model and modules of a folder as a run does and binds all weights to an engine. Errors: what a run
// would end with.
void load_as_a_run(const std::filesystem::path& folder);

}  // namespace mlxe
