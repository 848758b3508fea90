#include "encoder/chunks.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <span>

#include "base/utf8.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

// Bytes of the longest word whose tokens are known to be those of the whole text. A longer one may be cut as if it ended
// earlier.
constexpr size_t kLongestWord = 1024;

// White_Space of Unicode, by its UTF-8 bytes.
constexpr std::string_view kWhiteSpace[] = {
    "\t",           "\n",           "\v",           "\f",           "\r",           " ",
    "\xC2\x85",     "\xC2\xA0",     "\xE1\x9A\x80", "\xE2\x80\x80", "\xE2\x80\x81", "\xE2\x80\x82",
    "\xE2\x80\x83", "\xE2\x80\x84", "\xE2\x80\x85", "\xE2\x80\x86", "\xE2\x80\x87", "\xE2\x80\x88",
    "\xE2\x80\x89", "\xE2\x80\x8A", "\xE2\x80\xA8", "\xE2\x80\xA9", "\xE2\x80\xAF", "\xE2\x81\x9F",
    "\xE3\x80\x80"};

// Most text is ASCII beyond the blank.
bool is_black(char c) {
  return c > ' ' && c <= '~';
}

size_t white_at_start(std::string_view text) {
  if (text.empty() || is_black(text.front())) return 0;
  size_t at = 0;
  for (bool found = true; found;) {
    found = false;
    for (const std::string_view space : kWhiteSpace)
      if (text.substr(at).starts_with(space)) {
        at += space.size();
        found = true;
        break;
      }
  }
  return at;
}

size_t without_white_end(std::string_view text) {
  if (text.empty() || is_black(text.back())) return text.size();
  for (bool found = true; found;) {
    found = false;
    for (const std::string_view space : kWhiteSpace)
      if (text.ends_with(space)) {
        text.remove_suffix(space.size());
        found = true;
        break;
      }
  }
  return text.size();
}

// A place between two tokens that is between two characters, too.
struct Boundary {
  enum Kind { in_word, between_words, at_white_space };
  size_t at = 0;       // byte of the text
  int64_t tokens = 0;  // of the text before it
  Kind kind = in_word;
};

// Those with at most `most` tokens before them, in ascending order.
std::vector<Boundary> boundaries(const PromptedTokens& tokens, std::string_view text, size_t most) {
  const size_t count = tokens.of_text.size();
  // The lowest beginning of the tokens from each one on: offsets of some normalizers do not ascend.
  std::vector<size_t> lowest(count + 1, std::numeric_limits<size_t>::max());
  for (size_t i = count; i-- > 0;) lowest[i] = std::min(lowest[i + 1], tokens.of_text[i].first);
  std::vector<Boundary> found;
  size_t end = 0;
  for (size_t i = 0; i < std::min(count, most); ++i) {
    end = std::max(end, tokens.of_text[i].second);
    if (end == 0 || lowest[i + 1] < end) continue;
    Boundary b{.at = end, .tokens = static_cast<int64_t>(i) + 1};
    if (white_at_start(text.substr(end)) > 0 || without_white_end(text.substr(0, end)) < end)
      b.kind = Boundary::at_white_space;
    else if (i + 1 == count || tokens.words[i] < 0 || tokens.words[i] != tokens.words[i + 1])
      b.kind = Boundary::between_words;
    if (!found.empty() && found.back().at == b.at) found.pop_back();
    found.push_back(b);
  }
  return found;
}

using Boundaries = std::span<const Boundary>;

// Those with `low` to `high` tokens before them.
Boundaries within(Boundaries all, int64_t low, int64_t high) {
  const auto first = std::ranges::lower_bound(all, low, {}, &Boundary::tokens);
  const auto past = std::ranges::upper_bound(all, high, {}, &Boundary::tokens);
  return first < past ? Boundaries(first, past) : Boundaries();
}

// The last one of the best kind; null if there is none.
const Boundary* last_best(Boundaries among) {
  const Boundary* best = nullptr;
  for (const Boundary& b : among)
    if (best == nullptr || b.kind >= best->kind) best = &b;
  return best;
}

// The first one of the best kind; null if there is none.
const Boundary* first_best(Boundaries among) {
  const auto best = std::ranges::max_element(among, {}, &Boundary::kind);
  return best == among.end() ? nullptr : &*best;
}

}  // namespace

std::optional<std::pair<size_t, size_t>> bytes_in_text(const Encoding& encoding, size_t token,
                                                       size_t prompt_bytes) {
  if (encoding.sequence[token] < 0) return std::nullopt;
  const auto [begin, end] = encoding.offsets[token];
  const auto first = static_cast<size_t>(begin), past = static_cast<size_t>(end);
  if (prompt_bytes > 0 && past <= prompt_bytes) return std::nullopt;
  return std::pair(std::max(first, prompt_bytes) - prompt_bytes, past - prompt_bytes);
}

Chunker::Chunker(const TextTokenizer& texts, const std::string& prompt, const ChunkOptions& options)
    : texts_(texts), prompt_(prompt), tokens_(options.tokens), overlap_(options.overlap) {
  if (tokens_ > texts.max_tokens())
    throw Error(
        ErrorCode::usage,
        fmt::format("chunks of {} tokens: the model reads at most {} tokens of a text; give {} or less",
                    tokens_, texts.max_tokens(), texts.max_tokens()));
  const int64_t added = count("");
  if (tokens_ <= added)
    throw Error(ErrorCode::usage,
                fmt::format("chunks of {} tokens: {} go to special tokens and the prompt; give {} or more",
                            tokens_, added, added + 1));
  if (overlap_ < 0 || overlap_ >= tokens_ - added)
    throw Error(ErrorCode::usage,
                fmt::format("an overlap of {} tokens: a chunk has {} beside special tokens and the prompt; "
                            "give 0 to {}",
                            overlap_, tokens_ - added, tokens_ - added - 1));
}

Encoding Chunker::encode(std::string_view text) const {
  return texts_.tokenizer().encode(prompt_ + std::string(text));
}

int64_t Chunker::count(std::string_view text) const {
  return static_cast<int64_t>(encode(text).ids.size());
}

PromptedTokens Chunker::tokens_from(std::string_view text, size_t begin, int64_t limit) const {
  // 12 bytes a token are enough for most texts. If they are too few, four times as many are tried: all earlier trials
  // together cost a third of the last. The tokens near the end of what is tokenized may be those of half a word: they do
  // not count.
  for (size_t size = kLongestWord + 12 * static_cast<size_t>(limit);; size *= 4) {
    size_t end = std::min(text.size(), begin + size);
    while (end < text.size() && !begins_code_point(text[end])) ++end;
    PromptedTokens tokens{encode(text.substr(begin, end - begin)), {}, {}, end == text.size()};
    for (size_t i = 0; i < tokens.encoding.ids.size(); ++i)
      if (const auto bytes = bytes_in_text(tokens.encoding, i, prompt_.size())) {
        tokens.of_text.push_back(*bytes);
        tokens.words.push_back(tokens.encoding.word_ids[i]);
      }
    const auto settled = std::ranges::count_if(
        tokens.of_text, [&](const auto& bytes) { return bytes.second + kLongestWord <= end - begin; });
    if (tokens.whole || tokens.added() + settled > limit) return tokens;
  }
}

// Sets `next` to the beginning of the chunk after it; to the text's size if there is none. `tokens` is 0 if no token is
// left for a chunk (control characters).
TextSpan Chunker::first_chunk(std::string_view text, size_t begin, size_t& next) const {
  const PromptedTokens tokens = tokens_from(text, begin, tokens_);
  if (tokens.whole && tokens.size() <= tokens_) {
    next = text.size();
    return {begin, text.size(), tokens.of_text.empty() ? 0 : static_cast<int32_t>(tokens.size())};
  }
  const std::string_view rest = text.substr(begin);
  const std::vector<Boundary> found = boundaries(tokens, rest, static_cast<size_t>(tokens_));
  for (int64_t room = tokens_ - tokens.added(); room > 0;) {
    // More than the overlap, so that the next chunk begins after this one.
    const Boundary* end = last_best(within(found, std::max(room / 2, overlap_) + 1, room));
    if (end == nullptr) {
      const Boundaries earlier = within(found, 1, room);
      if (earlier.empty()) break;
      end = &earlier.back();
    }
    const std::string_view chunk = rest.substr(0, without_white_end(rest.substr(0, end->at)));
    const int64_t size = count(chunk);
    if (size > tokens_) {
      room = end->tokens - 1;
      continue;
    }
    const Boundary* start = overlap_ == 0
                                ? nullptr
                                : first_best(within(found, std::max<int64_t>(1, end->tokens - overlap_),
                                                    end->tokens - (overlap_ + 1) / 2));
    const size_t after = start != nullptr ? start->at : end->at;
    next = begin + after + white_at_start(rest.substr(after));
    return {begin, begin + chunk.size(), static_cast<int32_t>(size)};
  }
  throw Error(ErrorCode::usage,
              fmt::format("at byte {}, a character has more tokens than fit into a chunk of {}; give more",
                          begin, tokens_));
}

std::vector<TextSpan> Chunker::chunks(std::string_view text) const {
  if (const size_t bad = first_invalid_utf8(text); bad != kValidUtf8)
    throw Error(ErrorCode::format, fmt::format("text is not UTF-8 at byte {}", bad));
  if (text.size() > static_cast<size_t>(std::numeric_limits<int32_t>::max()))
    throw Error(ErrorCode::usage, "text is longer than 2 GiB");
  if (const PromptedTokens all = tokens_from(text, 0, tokens_); all.whole && all.size() <= tokens_)
    return {{0, text.size(), static_cast<int32_t>(all.size())}};
  text = text.substr(0, without_white_end(text));
  size_t next = white_at_start(text);
  std::vector<TextSpan> spans;
  do {
    const TextSpan chunk = first_chunk(text, next, next);
    if (chunk.tokens > 0 || spans.empty()) spans.push_back(chunk);
  } while (next < text.size());
  return spans;
}

}  // namespace mlxe
