// Whether Python's mlx-embeddings loads a model folder, and what it then computes otherwise.
//
// Two versions are judged: 0.1.0, which PyPI has, and main at 9b28270 (May 2026). They load alike: every model*.safetensors
// below the folder, a subfolder's name in front of its tensors' names; one tensor too many, too few or of another shape
// is an error; a module is quantized where it has scales. main also reads 1_Pooling, for BERT and XLM-RoBERTa.
// tools/make_readers_table.py holds these verdicts against both.
#pragma once

#include <vector>

#include "convert/folder_tokenizer.h"
#include "format/checkpoint.h"
#include "mlx_encoder/inspect.h"

namespace mlxe {

// A verdict for each version, the released one first. `tokenizer`: the folder's.
std::vector<ReaderVerdict> judge_mlx_embeddings(Checkpoint& checkpoint, const FolderTokenizer& tokenizer);

}  // namespace mlxe
