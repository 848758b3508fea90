// Which programs can load a model folder, and why others can't.
#pragma once

#include <filesystem>
#include <vector>

#include "convert/folder_tokenizer.h"
#include "mlx_encoder/inspect.h"

namespace mlxe {

class Checkpoint;

// mlx-encoder itself, two versions of Python's mlx-embeddings, Swift's MLXEmbedders, mlx-lm, and any loader that follows
// mlx-lm's layout. `tokenizer`: the folder's.
std::vector<ReaderVerdict> judge_loaders(Checkpoint& checkpoint, const FolderTokenizer& tokenizer);

// Checks the promise of `--layout mlx-embeddings` on the folder `written`, which will be named `output`. Errors:
// unsupported (all reasons why mlx-embeddings can't load it), those of Checkpoint::open.
void require_mlx_embeddings_loads(const std::filesystem::path& written, const FolderTokenizer& tokenizer,
                                  const std::filesystem::path& output);

// Loads model and modules of a folder as a run does and binds all weights to an engine. Errors: those
// of a run.
void load_as_a_run(const std::filesystem::path& folder);

}  // namespace mlxe
