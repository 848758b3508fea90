// Converts text to token ids, exactly as Hugging Face's fast tokenizers do.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mlx_encoder/types.h"

namespace mlxe {

// The files of a folder that Tokenizer::load may read, besides config.json.
inline constexpr const char* kTokenizerFiles[] = {"tokenizer.json",
                                                  "tokenizer_config.json",
                                                  "special_tokens_map.json",
                                                  "added_tokens.json",
                                                  "vocab.txt",
                                                  "vocab.json",
                                                  "merges.txt",
                                                  "sentencepiece.bpe.model",
                                                  "spiece.model",
                                                  "spm.model",
                                                  "chat_template.jinja"};

enum class Truncation {
  longest_first,  // cuts the longer text of a pair first; Hugging Face's default
  only_first,
  only_second,
};

enum class SpecialTokens { keep, skip };

struct EncodeOptions {
  bool add_special_tokens = true;
  int64_t max_length = 0;  // tokens, special ones included; 0: no limit
  Truncation truncation = Truncation::longest_first;
  // For Tokenizer::encode_windows: number of tokens that neighbouring windows share.
  std::optional<int64_t> stride = {};
};

// The half-open range of a token within its text.
using TextRange = std::pair<int32_t, int32_t>;

// Every vector has one element for each token.
struct Encoding {
  std::vector<int32_t> ids;
  std::vector<int32_t> type_ids;   // all 0 if Tokenizer::gives_type_ids() is false
  std::vector<TextRange> offsets;  // bytes, always between characters; (0, 0) for added special tokens
  std::vector<TextRange> code_point_offsets;  // the same as Hugging Face counts: Python's string indices
  std::vector<int8_t> sequence;               // 0 first text, 1 second text, -1 added special token
  std::vector<int32_t> word_ids;              // words as the pre-tokenizer splits a text, from 0; -1: no word
  bool truncated = false;
  int32_t dropped_tokens = 0;  // number of tokens that truncation removed
  // True if more were removed: the end of a text many times longer than max_length is not tokenized.
  bool dropped_more = false;
  int32_t first = 0;  // of a window: number of tokens of the text in windows before it, without special ones
  int32_t expansion =
      0;  // tokens at the end that were added to make a query longer (encoder/text_tokenizer.h)
};

struct EncodeInput {
  std::string_view text;
  std::optional<std::string_view> pair;  // an empty second text is not the same as none
};

// Ids of tokens with a role. Absent if the tokenizer has no such token.
struct SpecialIds {
  std::optional<int32_t> pad, cls, sep, mask, unk, bos, eos;
};

// Unicode's lower case, as str.lower() of Python. Errors: format (not UTF-8).
std::string lower_case(std::string_view text);

// Move-only. Const functions may be called from many threads at once.
class Tokenizer {
 public:
  // Reads tokenizer.json. If there is none, builds the same tokenizer from vocab.txt (BERT, DistilBERT), from
  // vocab.json and merges.txt (RoBERTa) or from a SentencePiece model of the kind Unigram (XLM-RoBERTa, CamemBERT,
  // DeBERTa v2, ALBERT, T5). Applies tokenizer_config.json, special_tokens_map.json,
  // added_tokens.json and config.json as transformers 4.57 does. Ignores truncation and padding in
  // tokenizer.json: each call sets its own truncation, and nothing is padded. Errors: not_found (no
  // tokenizer in the folder), io, format (a file's content), unsupported (another kind of tokenizer, such
  // as Gemma's tokenizer.model without tokenizer.json).
  static Tokenizer load(const std::filesystem::path& folder, const Warning& warning);

  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  // Applies do_lower_case as sentence-transformers 5.4 and later do: puts a Lowercase in front of the
  // normalizer, unless it has one. Special tokens written in a text keep their case.
  void lower_case_first();

  // If truncation cuts the end of a text, and the tokenizer allows it (src/rust/src/cut.rs), only the
  // beginning of a long text is tokenized: time and memory depend on max_length, not on the text. The
  // tokens are the same. A giant word that is one unknown token is shortened meanwhile (shorten.rs). Errors:
  // format (not UTF-8: names the byte; a word outside a vocabulary without unknown token), usage (no room for
  // the special tokens in max_length; only_first or only_second can't cut enough).
  Encoding encode(std::string_view text, const EncodeOptions& options = {}) const;
  Encoding encode(std::string_view text, std::optional<std::string_view> pair,
                  const EncodeOptions& options = {}) const;

  // The windows of a text that is longer than max_length: each has the special tokens, all of one text and a part of
  // the text that `truncation` cuts (only_first or only_second), which begins with the last options.stride tokens of
  // the part before. As return_overflowing_tokens of Hugging Face; nothing is dropped. Errors: those of encode, usage
  // (no room for more than the stride).
  std::vector<Encoding> encode_windows(std::string_view text, std::optional<std::string_view> pair,
                                       const EncodeOptions& options) const;

  // Ids without a token are left out, as in Hugging Face. Errors: usage (a negative id).
  std::string decode(std::span<const int32_t> ids, SpecialTokens special = SpecialTokens::skip) const;

  // The tokenizer as a tokenizer.json, with the settings that were applied.
  std::string tokenizer_json() const;
  std::optional<std::string> find_token(int32_t id) const;  // none for an unknown id
  std::string token(int32_t id) const;  // as in the vocabulary ("##ing", "Ġthe"); usage: an unknown id
  std::optional<int32_t> id(std::string_view token) const;
  int32_t vocab_size() const noexcept;        // added tokens included
  int64_t model_max_length() const noexcept;  // in tokens, special ones included; 0: the files set no limit
  const SpecialIds& special_ids() const noexcept;
  // Whether the tokenizer gives token types. If not, a model with token types gets zeros.
  bool gives_type_ids() const noexcept;
  // Whether tokens inside a word have a prefix in the vocabulary, as "##ing".
  bool marks_subwords() const noexcept;
  // Whether padding goes before a text, in "padding_side" of tokenizer_config.json. Nothing is padded here; transformers
  // puts the second text of some pairs first then.
  bool pads_left() const noexcept;
  const std::string& class_name() const noexcept;  // "BertTokenizer", ...: the Hugging Face class followed

 private:
  struct State;
  explicit Tokenizer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace mlxe
