// The special and added tokens of a tokenizer beyond its vocabulary, as transformers finds them in
// PreTrainedTokenizerBase._from_pretrained and PreTrainedTokenizerFast.__init__.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tokenizer/tokenizer_config.h"

namespace mlxe {

// A token that is searched in a text before any other step.
struct AddedToken {
  std::string content;
  bool single_word = false;
  bool lstrip = false;  // includes the whitespace on its left
  bool rstrip = false;
  std::optional<bool> normalized = {};  // searched in the normalized text; unset: true unless special
  bool special = false;

  bool is_normalized() const { return normalized.value_or(!special); }
  nlohmann::json to_json() const;
  friend bool operator==(const AddedToken& a, const AddedToken& b);
};

enum class VocabularySource {
  tokenizer_json,
  vocabulary_files,  // vocab.txt, vocab.json and merges.txt, or a SentencePiece model
};

struct SpecialTokenPlan {
  std::vector<std::pair<std::string, std::string>> roles;  // ("pad_token", "[PAD]"), ...
  std::vector<AddedToken> to_add;                          // to the tokenizer as loaded, in order
};

// `already_added`: the tokenizer's "added_tokens", {id: token}. Errors: format.
SpecialTokenPlan plan_special_tokens(const TokenizerConfig& config, VocabularySource source,
                                     const nlohmann::json& already_added);

}  // namespace mlxe
