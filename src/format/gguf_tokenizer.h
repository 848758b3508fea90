// The tokenizer in a GGUF file's metadata, as tokenizer.json of the original has it.
#pragma once

#include <nlohmann/json.hpp>

#include "format/gguf_file.h"
#include "mlx_encoder/types.h"

namespace mlxe {

struct GgufTokenizer {
  nlohmann::json json;    // tokenizer.json
  nlohmann::json config;  // tokenizer_config.json
};

// WordPiece ("bert"), byte-level BPE ("gpt2") with the splitting of GPT-2, RoBERTa, Qwen 2 and ModernBERT, and Unigram
// ("t5"). Warns of what the file does not say and is assumed. Errors: format (malformed or contradicting values),
// unsupported (another kind of tokenizer).
GgufTokenizer gguf_tokenizer(const GgufFile& file, const Warning& warn);

}  // namespace mlxe
