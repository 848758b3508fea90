// Turns texts into token ids by the settings of a model folder: lower case, token limit, prompts. Needs no engine.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "encoder/model_loader.h"
#include "encoder/pair_template.h"
#include "mlx_encoder/types.h"
#include "tokenizer/tokenizer.h"

namespace mlxe {

class ThreadPool;

// Text that is put before each text of a call. Where a template makes one text of a pair (PairTemplate), it is the
// instruction.
struct Prompt {
  std::string text;
  int32_t pool_from = 0;  // number of its tokens that pooling skips
};

enum class WithoutTokens { refuse, accept };

// How a text of a late interaction model becomes tokens: at most `length`, the mark after the first one, and then
// `expansion` up to the length.
struct LateTokens {
  int64_t length = 0;
  std::optional<int32_t> mark, expansion;
};

inline constexpr int64_t kShortestOfLate = 4;  // the mark, two special tokens and one of the text

// How the texts of a job become tokens.
struct TextRules {
  Prompt prompt;
  Truncation truncation = Truncation::longest_first;
  // What happens to a text that has no token to compute from.
  WithoutTokens without_tokens = WithoutTokens::refuse;
  // The id of a token that each text must have: the tokens that a run chooses.
  std::optional<int32_t> chosen = {};
  int64_t max_tokens = 0;  // most tokens of a text or window; 0: the model's limit
  // A longer text runs as several windows, neighbours of which share this many tokens (Tokenizer::encode_windows).
  std::optional<int64_t> stride = {};
  std::optional<LateTokens> late = {};
  // Without a model: a text gets no special tokens, and `max_tokens` limits it (0: nothing does), and what
  // EncoderOptions::max_length says.
  bool looked_up = false;
};

// The windows of several texts, text by text: text[i] is the text of windows[i].
struct TextWindows {
  std::vector<Encoding> windows;
  std::vector<size_t> text;
};

EncodeInput view_of(const TextInput& text);

// Most tokens of a text, as in sentence-transformers: max_seq_length of sentence_bert_config.json. If that is
// absent or null, the tokenizer's `model_max_length` (0: none). At most the number of the model's positions,
// with a warning if the folder says more.
int64_t token_limit(const LoadedModel& loaded, int64_t model_max_length, const Warning& warn);

class TextTokenizer {
 public:
  // The token limit is the smaller of `max_length` (0: none) and the model's own. Puts texts in lower case if
  // `model` says so. Warns if the folder's limit is more than the model has positions.
  TextTokenizer(Tokenizer tokenizer, const LoadedModel& model, int64_t max_length = 0,
                const Warning& warn = {});

  const Tokenizer& tokenizer() const noexcept { return tokenizer_; }
  int64_t max_tokens() const noexcept { return max_tokens_; }
  // Most tokens of a text by these rules. Those of late interaction replace the limit of sentence-transformers.
  int64_t max_tokens(const TextRules& rules) const noexcept;

  // How a pair becomes one text. None: it is two texts for the tokenizer.
  const std::optional<PairTemplate>& pair_template() const noexcept { return pairs_; }

  // `text` as a prompt. As in sentence-transformers, `pool_from` does not count a trailing special token.
  Prompt prompt(std::string text) const;
  // The folder's default; empty if it has none.
  Prompt default_prompt(PromptUse use) const;

  // Errors: those of Tokenizer::encode; usage (no room for the end of a template in the token limit); format
  // (WithoutTokens::refuse: no token, or only tokens of a prompt
  // that pooling skips, so that a vector or label would be computed from nothing; TextRules::chosen: the text has no
  // such token, or truncation cut one off).
  Encoding encode(const EncodeInput& text, const TextRules& rules = {}) const;
  // One without TextRules::stride. Errors: those of encode and of Tokenizer::encode_windows.
  std::vector<Encoding> encode_windows(const EncodeInput& text, const TextRules& rules) const;
  // All texts, in parallel. Errors: those of encode_windows, for the first text with an error: "text N: ...", where N
  // is number(index).
  TextWindows encode_all_windows(std::span<const EncodeInput> texts, const TextRules& rules, ThreadPool& pool,
                                 const std::function<size_t(size_t index)>& number) const;
  // The same for rules without a stride: an encoding for each text.
  std::vector<Encoding> encode_all(std::span<const EncodeInput> texts, const TextRules& rules,
                                   ThreadPool& pool, const std::function<size_t(size_t index)>& number) const;

 private:
  Encoding encode_pair(const EncodeInput& pair, const std::string& instruction) const;

  Tokenizer tokenizer_;
  std::optional<PairTemplate> pairs_;
  int64_t max_tokens_;
  int64_t most_positions_;  // of the model, or EncoderOptions::max_length
  int64_t asked_length_;    // EncoderOptions::max_length
  bool pools_prompt_;
  bool adds_special_tokens_;
  std::string embedding_prompt_, classification_prompt_;
};

}  // namespace mlxe
