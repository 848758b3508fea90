// The older files a vocabulary came in, turned into the tokenizer.json transformers would write for them.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "tokenizer/tokenizer_config.h"

namespace mlxe {

// Both give a tokenizer.json without post-processor: its token ids are known once the special tokens are
// added. Errors: io, format.
//
// vocab.txt: one token a line, its number is its id. As BertConverter in convert_slow_tokenizer.py.
nlohmann::json wordpiece_from_vocab(const std::filesystem::path& vocab, const TokenizerConfig& config,
                                    const std::string& unknown_token);
// vocab.json {token: id} and merges.txt (a version line, then two tokens a line). As RobertaConverter.
nlohmann::json byte_level_bpe_from_vocab(const std::filesystem::path& vocab,
                                         const std::filesystem::path& merges, const TokenizerConfig& config);

// The post-processors of the two families, for tokens that have their ids.
struct EdgeToken {
  std::string content;
  int32_t id;
};
nlohmann::json bert_post_processor(const EdgeToken& cls, const EdgeToken& sep);
nlohmann::json roberta_post_processor(const EdgeToken& cls, const EdgeToken& sep,
                                      const TokenizerConfig& config);

// The parts of BERT's own text cleaning, as "normalizer" of tokenizer.json.
nlohmann::json bert_normalizer(const TokenizerConfig& config);

}  // namespace mlxe
