// What Swift's MLXEmbedders loads (mlx-swift-lm at 14414441: MLXEmbedders/Models/{Bert,Gemma3,NomicBert,Qwen3}.swift,
// Pooling.swift, MLXLMCommon/Load.swift). It rewrites the names of tensors and refuses a folder with one too many or too few. It
// quantizes the modules that have scales, in the form that "quantization" gives for the module's path after the
// rewriting. tools/check_swift_layout.py applies the same rules without this program.
#pragma once

#include <string>
#include <string_view>

#include "convert/folder_tokenizer.h"
#include "format/checkpoint.h"
#include "mlx_encoder/inspect.h"

namespace mlxe {

// The path there of a module or tensor of a model with this "model_type": "encoder.layers.0.attention.query_proj" for
// "bert.encoder.layer.0.attention.self.query". The same name where nothing is rewritten.
std::string swift_path(std::string_view model_type, std::string_view name);

// Whether it loads the folder, and what it then computes otherwise.
ReaderVerdict judge_swift_embedders(Checkpoint& checkpoint, const FolderTokenizer& tokenizer);

}  // namespace mlxe
