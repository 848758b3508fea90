// Cuts long texts into chunks of a number of tokens. Each chunk is a text of its own, with the prompt and special tokens.
//
// A chunk ends at a token boundary in its second half, as far back as half of its tokens: the last one at white space;
// without one, the last between two words of the tokenizer; without one, the last. The next chunk begins at a boundary in
// the tokens that both are to share, at most `overlap` and at least half as many: the first one at white space; without
// one, between two words; without one, the first. White space between two chunks belongs to neither.
//
// The tokens are those of the text from the chunk's beginning on, behind the prompt. The text of a chunk may have more,
// because its end is now the end of a text; it is then cut at an earlier boundary.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "encoder/text_tokenizer.h"
#include "mlx_encoder/encoder.h"

namespace mlxe {

// Part of a text: bytes [begin, end), between characters.
struct TextSpan {
  size_t begin = 0, end = 0;
  int32_t tokens = 0;  // of this part as a text of its own, with special tokens and those of the prompt
};

// The bytes of a token in the text behind a prompt of `prompt_bytes` bytes, half-open. None: the token is the prompt's, or
// an added special token.
std::optional<std::pair<size_t, size_t>> bytes_in_text(const Encoding& encoding, size_t token,
                                                       size_t prompt_bytes);

// The tokens of a prompt and of a text, or of the beginning of a text.
struct PromptedTokens {
  Encoding encoding;
  std::vector<std::pair<size_t, size_t>> of_text;  // bytes_in_text() of the text's tokens
  std::vector<int32_t> words;                      // Encoding::word_ids of these
  bool whole = false;                              // these are all tokens of the text

  int64_t size() const { return static_cast<int64_t>(encoding.ids.size()); }
  // Number of special tokens and those of the prompt.
  int64_t added() const { return size() - static_cast<int64_t>(of_text.size()); }
};

class Chunker {
 public:
  // Errors: usage (a chunk larger than the model's limit; no room beside special tokens and prompt; an overlap without
  // room for another token).
  Chunker(const TextTokenizer& texts, const std::string& prompt, const ChunkOptions& options);

  // The chunks in order; at least one. A text of at most ChunkOptions::tokens tokens is one chunk, with the white space
  // around it. Errors: format (not UTF-8), usage (a character with more tokens than a chunk).
  std::vector<TextSpan> chunks(std::string_view text) const;

  // The tokens of the text from byte `begin` on, more than `limit` or all. Tokenizes little more than it must, however
  // long the text is.
  PromptedTokens tokens_from(std::string_view text, size_t begin, int64_t limit) const;
  // The number of tokens of a text behind the prompt, with special tokens.
  int64_t count(std::string_view text) const;

 private:
  Encoding encode(std::string_view text) const;
  TextSpan first_chunk(std::string_view text, size_t begin, size_t& next) const;

  const TextTokenizer& texts_;
  std::string prompt_;
  int64_t tokens_, overlap_;
};

}  // namespace mlxe
