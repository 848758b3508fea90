#include "encoder/text_tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/thread_pool.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

void require_tokens(const Encoding& encoding, int32_t pool_from) {
  const auto length = static_cast<int32_t>(encoding.ids.size());
  if (length == 0)
    throw Error(
        ErrorCode::format,
        "no token to compute from: the text is empty or holds nothing that the tokenizer keeps, and it adds "
        "no special tokens; leave the text out");
  if (pool_from >= length)
    throw Error(
        ErrorCode::format,
        "no token to pool beside those of the prompt, which this model leaves out; leave the text out, or "
        "shorten the prompt");
}

// `token`: the chosen one, as texts write it.
void require_chosen(const Encoding& encoding, int32_t id, const std::string& token, std::string_view text,
                    int64_t max_tokens) {
  const auto left = std::ranges::count(encoding.ids, id);
  int64_t written = 0;
  for (size_t at = text.find(token); at != text.npos; at = text.find(token, at + token.size())) ++written;
  if (encoding.dropped_tokens > 0 && left < written)
    throw Error(
        ErrorCode::format,
        fmt::format("truncated to {} tokens, which leaves {} of {} {}; shorten the text, or cut it around {}",
                    max_tokens, left, written, token, token));
  if (left == 0)
    throw Error(ErrorCode::format, fmt::format("found no {0}; write {0} in the place of a word", token));
}

void insert_special(Encoding& e, size_t at, int32_t id) {
  const auto insert = [&](auto& values, auto value) {
    values.insert(values.begin() + static_cast<ptrdiff_t>(at), value);
  };
  insert(e.ids, id);
  insert(e.type_ids, 0);
  insert(e.offsets, TextRange{});
  insert(e.code_point_offsets, TextRange{});
  insert(e.sequence, int8_t{-1});
  insert(e.word_ids, -1);
}

}  // namespace

int64_t token_limit(const LoadedModel& loaded, int64_t model_max_length, const Warning& warn) {
  const int64_t positions = loaded.model.max_tokens();
  const auto& stated = loaded.sentence.max_seq_length;
  if (!stated) return model_max_length > 0 ? std::min(model_max_length, positions) : positions;
  if (*stated > positions && warn)
    warn(fmt::format(
        "{}: sentence-transformers' max_seq_length is {}, the model has {} positions; texts are cut there",
        loaded.checkpoint.folder().string(), *stated, positions));
  return std::min(*stated, positions);
}

EncodeInput view_of(const TextInput& text) {
  return {text.text, text.pair};
}

TextTokenizer::TextTokenizer(Tokenizer tokenizer, const LoadedModel& model, int64_t max_length,
                             const Warning& warn)
    : tokenizer_(std::move(tokenizer)),
      pairs_(PairTemplate::find(model, tokenizer_)),
      max_tokens_(token_limit(model, tokenizer_.model_max_length(), warn)),
      most_positions_(model.model.max_tokens()),
      asked_length_(max_length),
      pools_prompt_(model.model.plan.pools_prompt),
      adds_special_tokens_(!model.sentence.is_static),
      embedding_prompt_(mlxe::default_prompt(model.sentence, PromptUse::embedding)),
      classification_prompt_(mlxe::default_prompt(model.sentence, PromptUse::classification)) {
  if (model.sentence.do_lower_case) tokenizer_.lower_case_first();
  if (max_length == 0) return;
  max_tokens_ = std::min(max_tokens_, max_length);
  most_positions_ = std::min(most_positions_, max_length);
}

Prompt TextTokenizer::prompt(std::string text) const {
  Prompt prompt{std::move(text)};
  if (prompt.text.empty() || pools_prompt_) return prompt;
  const Encoding e = encode({prompt.text, std::nullopt}, {.without_tokens = WithoutTokens::accept});
  const bool closes = !e.sequence.empty() && e.sequence.back() < 0;
  prompt.pool_from = static_cast<int32_t>(e.ids.size()) - (closes ? 1 : 0);
  return prompt;
}

Prompt TextTokenizer::default_prompt(PromptUse use) const {
  if (use == PromptUse::embedding) return prompt(embedding_prompt_);
  return {classification_prompt_};
}

Encoding TextTokenizer::encode_pair(const EncodeInput& pair, const std::string& instruction) const {
  Encoding e = tokenizer_.encode(pairs_->text(pair.text, *pair.pair, instruction),
                                 {.add_special_tokens = false, .max_length = max_tokens_});
  if (e.dropped_tokens == 0) return e;
  const std::vector<int32_t> suffix = pairs_->suffix(tokenizer_, instruction);
  if (suffix.size() >= e.ids.size())
    throw Error(
        ErrorCode::usage,
        fmt::format(
            "found a limit of {} tokens, expected more than the {} with which the template ends; raise "
            "the limit",
            max_tokens_, suffix.size()));
  std::ranges::copy(suffix, e.ids.end() - static_cast<std::ptrdiff_t>(suffix.size()));
  return e;
}

int64_t TextTokenizer::max_tokens(const TextRules& rules) const noexcept {
  if (rules.late) return std::min(rules.late->length, most_positions_);
  if (rules.looked_up)
    return rules.max_tokens == 0 || asked_length_ == 0 ? std::max(rules.max_tokens, asked_length_)
                                                       : std::min(rules.max_tokens, asked_length_);
  return rules.max_tokens > 0 ? std::min(rules.max_tokens, max_tokens_) : max_tokens_;
}

Encoding TextTokenizer::encode(const EncodeInput& text, const TextRules& rules) const {
  return std::move(encode_windows(text, rules).front());
}

std::vector<Encoding> TextTokenizer::encode_windows(const EncodeInput& text, const TextRules& rules) const {
  if (text.pair && pairs_ && !(pairs_->needs_instruction() && rules.prompt.text.empty()))
    return {encode_pair(text, rules.prompt.text)};  // never without a token
  std::string prompted;
  std::string_view first = text.text;
  if (!rules.prompt.text.empty()) {
    prompted.append(rules.prompt.text).append(text.text);
    first = prompted;
  }
  const int64_t limit = max_tokens(rules);
  const bool marks = rules.late && rules.late->mark;
  if (marks && limit < kShortestOfLate)
    throw Error(
        ErrorCode::usage,
        fmt::format("a limit of {} tokens, expected at least {}: the mark, two special tokens and one of "
                    "the text",
                    limit, kShortestOfLate));
  std::vector<Encoding> windows =
      tokenizer_.encode_windows(first, text.pair,
                                {.add_special_tokens = adds_special_tokens_ && !rules.looked_up,
                                 .max_length = marks ? limit - 1 : limit,
                                 .truncation = rules.truncation,
                                 .stride = rules.stride});
  for (Encoding& e : windows) {
    if (rules.chosen) require_chosen(e, *rules.chosen, tokenizer_.token(*rules.chosen), first, limit);
    if (rules.without_tokens == WithoutTokens::refuse) require_tokens(e, rules.prompt.pool_from);
    if (marks && !e.ids.empty()) insert_special(e, 1, *rules.late->mark);
    if (rules.late && rules.late->expansion && !e.ids.empty())
      for (; std::ssize(e.ids) < limit; ++e.expansion)
        insert_special(e, e.ids.size(), *rules.late->expansion);
  }
  return windows;
}

TextWindows TextTokenizer::encode_all_windows(std::span<const EncodeInput> texts, const TextRules& rules,
                                              ThreadPool& pool,
                                              const std::function<size_t(size_t)>& number) const {
  std::vector<std::vector<Encoding>> of_texts(texts.size());
  pool.parallel_for(static_cast<int64_t>(texts.size()), [&](int64_t i, int) {
    const auto text = static_cast<size_t>(i);
    try {
      of_texts[text] = encode_windows(texts[text], rules);
    } catch (const Error& e) {
      throw Error(e.code(), fmt::format("text {}: {}", number(text), e.what()));
    }
  });
  TextWindows all;
  for (size_t text = 0; text < of_texts.size(); ++text)
    for (Encoding& window : of_texts[text]) {
      all.windows.push_back(std::move(window));
      all.text.push_back(text);
    }
  return all;
}

std::vector<Encoding> TextTokenizer::encode_all(std::span<const EncodeInput> texts, const TextRules& rules,
                                                ThreadPool& pool,
                                                const std::function<size_t(size_t)>& number) const {
  return encode_all_windows(texts, rules, pool, number).windows;
}

}  // namespace mlxe
