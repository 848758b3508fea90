// A GGUF file as a model folder: the files that say what its tensors are.
#pragma once

#include <filesystem>

#include "mlx_encoder/types.h"

namespace mlxe {

// Writes config.json, tokenizer.json, tokenizer_config.json, sentence_bert_config.json, modules.json, 1_Pooling and,
// where the file has them, Dense modules into an empty folder. Vectors have length 1, as llama.cpp's are. A tokenizer
// that this version cannot make is taken from beside the file. Warns of keys that have no effect here. Errors: io,
// format, unsupported.
void describe_gguf(const std::filesystem::path& file, const std::filesystem::path& folder,
                   const Warning& warn);

// Of a file beside a config.json: throws if the file says something else than it. Keys that are in one of the two alone
// are no contradiction. Errors: format (names the key), and those of reading the file.
void require_gguf_agrees(const std::filesystem::path& file, const std::filesystem::path& config);

}  // namespace mlxe
