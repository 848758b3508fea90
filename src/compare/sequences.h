// The token ids that both sides run. Each side's own tokenizer makes them, and they must be equal.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "encoder/text_runner.h"
#include "mlx_encoder/encoder.h"
#include "models/outputs.h"

namespace mlxe {

// One sequence to run. Rows can be compared only if both sides have the same token ids.
struct Sequence {
  int64_t text = 0;   // index into the texts
  size_t number = 0;  // of the text in messages
  int part = 0;       // 1: the second text of a pair, if each text has a vector of its own
  std::vector<int32_t> ids;
  std::array<std::vector<int32_t>, 2>
      type_ids;                        // of the original and of the quantized side. A model written as
                                       // another architecture may have token types that the original lacks
  std::array<int32_t, 2> pool_from{};  // leading prompt tokens that pooling skips
};

enum class Pairs {
  together,  // one sequence a pair, as classifiers read it
  apart,     // two sequences, as sentence embeddings are compared
};
// How the model whose output is compared reads a pair.
inline Pairs pairs_of(Output output) {
  return reads_pairs(output) ? Pairs::together : Pairs::apart;
}

// Tokenizes all texts, in parallel, with each side's default prompt: for embedding (Pairs::apart) or for
// classification. The two sequences of a pair are neighbours. `numbers`: of the texts in messages; empty: 1, 2, ...
// Warns of truncated texts.
// Errors: format (not UTF-8, or the ids differ: names the text and the first difference).
std::vector<Sequence> tokenize_both(const TextRunner& original, const TextRunner& quantized,
                                    std::span<const TextInput> texts, Pairs pairs, const Warning& warn,
                                    std::span<const size_t> numbers = {});

// Indices of the sequences with different token ids, ascending: the first sequence for each list of ids.
std::vector<size_t> different_sequences(std::span<const Sequence> sequences);

// Number of tokens of each sequence, for by_length and batches_by_length (text_batches.h).
std::vector<size_t> lengths_of(std::span<const Sequence> sequences);

// Adds a sequence to the batch of one side.
enum class Side { original, quantized };
void append(RunRequest& request, const Sequence& sequence, Side side);

}  // namespace mlxe
