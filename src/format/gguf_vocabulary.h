// The tokens of a GGUF file and their roles.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "format/gguf_file.h"

namespace mlxe {

enum class GgufTokenKind { normal = 1, unknown = 2, control = 3, user = 4, unused = 5, byte = 6 };

struct GgufToken {
  std::string text;
  GgufTokenKind kind = GgufTokenKind::normal;
  double score = 0;  // of a Unigram model

  // A place without a token, which the converter gave the name "[PAD30522]".
  bool fills_a_gap() const;
};

struct GgufVocabulary {
  std::vector<GgufToken> tokens;
  std::optional<int64_t> bos, eos, cls, sep, pad, mask, unknown;  // ids, all of `tokens`
  bool adds_first = false, adds_last = false;                     // around each text; WordPiece adds both

  // Errors: format (no tokens, arrays of different lengths, an id outside of the tokens).
  static GgufVocabulary read(const GgufFile& file);

  const std::string& text(int64_t id) const { return tokens[static_cast<size_t>(id)].text; }
  std::optional<int64_t> find(std::string_view text) const;  // the first of that text

  // "added_tokens" of a tokenizer.json: control tokens and those of users. `strips`: the token that takes the spaces on
  // its left.
  nlohmann::json added_tokens(std::string_view strips) const;
};

}  // namespace mlxe
