// Converts older vocabulary files into the tokenizer.json that transformers would write for them.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "tokenizer/tokenizer_config.h"

namespace mlxe {

// Both functions give a tokenizer.json without post-processor, because the post-processor's token ids are
// known only after the special tokens are added. Errors: io, format.
//
// vocab.txt: one token a line; the line number from 0 is the id. As BertConverter in
// convert_slow_tokenizer.py.
nlohmann::json wordpiece_from_vocab(const std::filesystem::path& vocab, const TokenizerConfig& config,
                                    const std::string& unknown_token);
// vocab.json {token: id} and merges.txt (a version line, then two tokens a line). As RobertaConverter.
nlohmann::json byte_level_bpe_from_vocab(const std::filesystem::path& vocab,
                                         const std::filesystem::path& merges, const TokenizerConfig& config);

// The post-processors of the families.
struct EdgeToken {
  std::string content;
  int32_t id;
};
nlohmann::json bert_post_processor(const EdgeToken& cls, const EdgeToken& sep);
nlohmann::json roberta_post_processor(const EdgeToken& cls, const EdgeToken& sep,
                                      const TokenizerConfig& config);
// Gemma's, around each text of a pair; any of the two tokens may be absent.
nlohmann::json gemma_post_processor(const std::optional<EdgeToken>& bos, const std::optional<EdgeToken>& eos);

// mBART's: tokens before and after a text or a pair, and nothing between the texts of a pair.
nlohmann::json mbart_post_processor(const std::vector<EdgeToken>& before,
                                    const std::vector<EdgeToken>& after);

// BERT's text cleaning, as "normalizer" of tokenizer.json.
nlohmann::json bert_normalizer(const TokenizerConfig& config);

}  // namespace mlxe
