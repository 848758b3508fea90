// Which texts run together: the sizes of windows and batches, and the division into batches.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace mlxe {

struct BatchSizes {
  // Number of texts that are tokenized and sorted together: large enough that the texts of a batch have
  // similar lengths, small enough that results come early and memory stays small.
  size_t window;
  // Most tokens of a batch: enough to keep every thread busy, few enough for the activations to stay in
  // cache.
  int64_t tokens;
};

// For results: vectors, logits.
inline constexpr BatchSizes kResultBatches{2048, 4096};
// If the activations of every layer of two models are held at once: 2048 tokens of a 12-layer, 768-wide model
// take 2 * 13 * 2048 * 768 * 4 bytes = 160 MB.
inline constexpr BatchSizes kLayerBatches{1024, 2048};
// Most tokens of the texts that a thread of the sensitivity runner, or a step of calibration, runs through a
// layer together.
inline constexpr int64_t kPartTokens = 512;

// Indices into the texts of one batch.
using TextBatch = std::vector<size_t>;

// `lengths`: number of tokens of each text.

// The indices of all texts, the shortest first; equal lengths keep their order.
std::vector<size_t> by_length(std::span<const size_t> lengths);

// Divides the texts, in their order, into batches of at most `tokens` tokens. A longer text is a batch of its
// own. Texts without tokens are in no batch.
std::vector<TextBatch> batches_in_order(std::span<const size_t> lengths, int64_t tokens);

// The same, in the order of by_length.
std::vector<TextBatch> batches_by_length(std::span<const size_t> lengths, int64_t tokens);

}  // namespace mlxe
