// SentencePiece models as the tokenizer.json that transformers' converters make of them (convert_slow_tokenizer.py).
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "tokenizer/special_tokens.h"
#include "tokenizer/tokenizer_config.h"

namespace mlxe {

struct SentencePieceTokenizer {
  nlohmann::json json;            // without added tokens, and without a post-processor
  std::vector<AddedToken> added;  // control and user-defined pieces, in the order of their ids
};

// The file of the class's model in the folder: spm.model of DeBERTa v2, sentencepiece.bpe.model of XLM-RoBERTa and
// CamemBERT, spiece.model of ALBERT and T5. None: there is no such file, or the class is another.
std::optional<std::filesystem::path> sentencepiece_file(const std::filesystem::path& folder,
                                                        const TokenizerConfig& config);

// Errors: io, format (no SentencePiece model), unsupported (not of the kind Unigram).
SentencePieceTokenizer read_sentencepiece(const std::filesystem::path& file, const TokenizerConfig& config);

// The class's post-processor. `id`: of a token. Errors: format (the model has no such token).
nlohmann::json sentencepiece_post_processor(
    const TokenizerConfig& config, const std::function<std::optional<int32_t>(const std::string& token)>& id);

}  // namespace mlxe
