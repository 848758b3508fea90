// Text to token ids, exactly as Hugging Face's fast tokenizers make them.
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

class ThreadPool;

// What Tokenizer::load may read of a folder, beside config.json.
inline constexpr const char* kTokenizerFiles[] = {"tokenizer.json",
                                                  "tokenizer_config.json",
                                                  "special_tokens_map.json",
                                                  "added_tokens.json",
                                                  "vocab.txt",
                                                  "vocab.json",
                                                  "merges.txt"};

enum class Truncation {
  longest_first,  // of a pair the longer text gives way first; Hugging Face's default
  only_first,
  only_second,
};

enum class SpecialTokens { keep, skip };

struct EncodeOptions {
  bool add_special_tokens = true;
  int64_t max_length = 0;  // tokens, special ones included; 0: no limit
  Truncation truncation = Truncation::longest_first;
};

// A half-open range within the text a token comes from.
using TextRange = std::pair<int32_t, int32_t>;

// All vectors have one element a token.
struct Encoding {
  std::vector<int32_t> ids;
  std::vector<int32_t> type_ids;   // all 0 where Tokenizer::gives_type_ids() is false
  std::vector<TextRange> offsets;  // bytes, always between characters; (0, 0) for added special tokens
  std::vector<TextRange> code_point_offsets;  // the same as Hugging Face counts: Python's string indices
  std::vector<int8_t> sequence;               // 0 first text, 1 second text, -1 added special token
  std::vector<int32_t> word_ids;              // words as the pre-tokenizer splits a text, from 0; -1 none
  bool truncated = false;
  int32_t dropped_tokens = 0;  // that truncation cut off
  // Of a text many times longer than max_length the end was never tokenized: more tokens than those were
  // dropped.
  bool dropped_more = false;
};

struct EncodeInput {
  std::string_view text;
  std::optional<std::string_view> pair;  // an empty second text is a second text
};

// The tokens a model gives a role; absent where the tokenizer has none.
struct SpecialIds {
  std::optional<int32_t> pad, cls, sep, mask, unk, bos, eos;
};

// Move-only. Const functions may be called from many threads at once.
class Tokenizer {
 public:
  // Reads tokenizer.json, or else builds the same tokenizer from vocab.txt (BERT, DistilBERT) or vocab.json
  // and merges.txt (RoBERTa), with tokenizer_config.json, special_tokens_map.json, added_tokens.json and
  // config.json applied as transformers 4.57 does. Truncation and padding stored in tokenizer.json are not
  // used: the first belongs to the call, the second never happens. Errors: not_found (no tokenizer in the
  // folder), io, format (a file's content), unsupported (a tokenizer of another kind, such as a SentencePiece
  // model without its tokenizer.json).
  static Tokenizer load(const std::filesystem::path& folder, const Warning& warning);

  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  // As sentence-transformers applies do_lower_case (5.4 and later): a Lowercase in front of the normalizer,
  // unless it has one. Special tokens written in a text keep their case.
  void lower_case_first();

  // Where the tokenizer allows it (src/rust/src/cut.rs) and the end of a text is what truncation cuts off,
  // time and memory for a long text follow max_length, not the text; the tokens are those of the whole text.
  // Errors: format (not UTF-8: names the byte; a word outside a vocabulary without unknown token), usage (no
  // room for the special tokens in max_length; only_first or only_second can't cut enough).
  Encoding encode(std::string_view text, const EncodeOptions& options = {}) const;
  Encoding encode(std::string_view text, std::optional<std::string_view> pair,
                  const EncodeOptions& options = {}) const;
  // In input order, the same for any number of threads. Errors: as encode, of the first text that has one, by
  // its number from 1.
  std::vector<Encoding> encode_batch(std::span<const EncodeInput> inputs, const EncodeOptions& options,
                                     ThreadPool& pool) const;

  // Ids without a token are left out, as in Hugging Face. Errors: usage (a negative id).
  std::string decode(std::span<const int32_t> ids, SpecialTokens special = SpecialTokens::skip) const;

  std::string token(int32_t id) const;  // as in the vocabulary ("##ing", "Ġthe"); usage where there is none
  std::optional<int32_t> id(std::string_view token) const;
  int32_t vocab_size() const noexcept;        // added tokens included
  int64_t model_max_length() const noexcept;  // in tokens, special ones included; 0: the files set no limit
  const SpecialIds& special_ids() const noexcept;
  // Whether the model is given token types; where not, a model that has them sees zeros.
  bool gives_type_ids() const noexcept;
  const std::string& class_name() const noexcept;  // "BertTokenizer", ...: the Hugging Face class followed

 private:
  struct State;
  explicit Tokenizer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace mlxe
