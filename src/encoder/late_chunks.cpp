#include "encoder/late_chunks.h"

#include <fmt/format.h>

#include <algorithm>
#include <variant>

#include "format/module_files.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

constexpr int64_t kContextShare = 4;  // a window shares at most this part of its tokens with the next

// Number of tokens of the text that begin in bytes [begin, end) after the start of what was tokenized.
int64_t tokens_within(const PromptedTokens& tokens, size_t begin, size_t end) {
  return std::ranges::count_if(tokens.of_text,
                               [&](const auto& bytes) { return bytes.first >= begin && bytes.first < end; });
}

// The chunks of a text, and how many of them fit into a window.
class WindowPlanner {
 public:
  WindowPlanner(const Chunker& chunker, std::string_view text, std::span<const TextSpan> chunks,
                int64_t limit)
      : chunker_(chunker), text_(text), chunks_(chunks), limit_(limit) {}

  std::vector<ChunkWindow> windows() const {
    std::vector<ChunkWindow> all;
    for (size_t context = 0, next = 0; next < chunks_.size();) {
      Window window = widest(context);
      while (window.past <= next) window = widest(++context);  // context for which no room is left
      const size_t begin = chunks_[context].begin, end = chunks_[window.past - 1].end;
      all.push_back({begin, end, next, window.past});
      next = window.past;
      const auto behind = [&](size_t chunk) {
        return tokens_within(window.tokens, chunks_[chunk].begin - begin, end - begin);
      };
      for (++context; context < next && behind(context) > limit_ / kContextShare;) ++context;
    }
    return all;
  }

 private:
  struct Window {
    PromptedTokens tokens;  // from its beginning on
    size_t past = 0;        // one past its last chunk
  };

  Window widest(size_t first) const {
    const size_t begin = chunks_[first].begin;
    Window window{chunker_.tokens_from(text_, begin, limit_), first + 1};
    const auto fits = [&](size_t chunk) {
      return window.tokens.added() + tokens_within(window.tokens, 0, chunks_[chunk].end - begin) <= limit_;
    };
    while (window.past < chunks_.size() && fits(window.past)) ++window.past;
    // The end of the window is the end of a text, which may have more tokens.
    while (window.past > first + 1 &&
           chunker_.count(text_.substr(begin, chunks_[window.past - 1].end - begin)) > limit_)
      --window.past;
    return window;
  }

  const Chunker& chunker_;
  std::string_view text_;
  std::span<const TextSpan> chunks_;
  int64_t limit_;
};

}  // namespace

void require_mean_pooling(std::span<const SentenceModuleSpec> modules) {
  for (const SentenceModuleSpec& module : modules) {
    const auto* pooling = std::get_if<PoolingSpec>(&module);
    if (pooling == nullptr || pooling->kinds == std::vector{PoolingKind::mean}) continue;
    std::string kinds;
    for (const PoolingKind kind : pooling->kinds)
      kinds += (kinds.empty() ? "" : ", ") + std::string(spelling(kind));
    throw Error(
        ErrorCode::unsupported,
        fmt::format("late chunking: the model's pooling is {}, and only a mean is taken over the tokens of a "
                    "chunk; leave it out, and each chunk is a text of its own",
                    kinds));
  }
}

std::vector<ChunkWindow> windows_of_chunks(std::span<const TextSpan> chunks) {
  std::vector<ChunkWindow> windows;
  for (size_t i = 0; i < chunks.size(); ++i) windows.push_back({chunks[i].begin, chunks[i].end, i, i + 1});
  return windows;
}

std::vector<ChunkWindow> late_windows(const Chunker& chunker, std::string_view text,
                                      std::span<const TextSpan> chunks, int64_t limit) {
  const PromptedTokens tokens = chunker.tokens_from(text, 0, limit);
  if (tokens.whole && tokens.size() <= limit) return {{0, text.size(), 0, chunks.size()}};
  return WindowPlanner(chunker, text, chunks, limit).windows();
}

std::vector<TextRange> pooled_parts(const ChunkWindow& window, std::span<const TextSpan> chunks,
                                    const Encoding& encoding, const Prompt& prompt) {
  const auto size = static_cast<int32_t>(encoding.ids.size());
  std::vector<TextRange> parts;
  for (size_t c = window.first_chunk; c < window.past_chunk; ++c) {
    const size_t begin = chunks[c].begin - window.begin, end = chunks[c].end - window.begin;
    TextRange part{size, 0};
    for (int32_t i = 0; i < size; ++i) {
      const auto bytes = bytes_in_text(encoding, static_cast<size_t>(i), prompt.text.size());
      if (!bytes || bytes->first >= end || (bytes->second <= begin && bytes->first < begin)) continue;
      part = {std::min(part.first, i), i + 1};
    }
    if (c == 0) part.first = prompt.pool_from;
    if (c + 1 == chunks.size()) part.second = size;
    if (part.first >= part.second)
      throw Error(ErrorCode::format, "a chunk has no token of its own; take larger chunks");
    parts.push_back(part);
  }
  return parts;
}

}  // namespace mlxe
