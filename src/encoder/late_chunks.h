// Late chunking: which parts of a text the model reads, and which of their tokens are the mean of a chunk.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "encoder/chunks.h"
#include "format/sentence_modules.h"

namespace mlxe {

// Bytes [begin, end) of a text, which the model reads as one input. The vectors of the text's chunks [first_chunk,
// past_chunk) come from it; earlier chunks in it are context.
struct ChunkWindow {
  size_t begin = 0, end = 0;
  size_t first_chunk = 0, past_chunk = 0;
};

// Errors: unsupported (a pooling of another kind than the mean, or several).
void require_mean_pooling(std::span<const SentenceModuleSpec> modules);

// Without late chunking, each chunk is an input.
std::vector<ChunkWindow> windows_of_chunks(std::span<const TextSpan> chunks);

// The whole text if it has at most `limit` tokens. Else windows of whole chunks, each as long as the limit allows. A
// window begins with the chunks in the last quarter of the window before it, where a chunk more fits behind them.
std::vector<ChunkWindow> late_windows(const Chunker& chunker, std::string_view text,
                                      std::span<const TextSpan> chunks, int64_t limit);

// The tokens of each of the window's chunks, counted from its first token. A token on the edge of two chunks belongs to
// both. The first chunk of the text also has the tokens before it from `prompt.pool_from` on, the last chunk those after
// it. `chunks`: all of the text.
std::vector<TextRange> pooled_parts(const ChunkWindow& window, std::span<const TextSpan> chunks,
                                    const Encoding& encoding, const Prompt& prompt);

}  // namespace mlxe
