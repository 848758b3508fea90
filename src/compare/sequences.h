// The token ids that both sides run. Each side's own tokenizer makes them, and they must be equal.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "encoder/text_runner.h"
#include "mlx_encoder/encoder.h"

namespace mlxe {

// One sequence to run. Rows can be compared only if both sides have the same token ids.
struct Sequence {
  int64_t text = 0;  // index into the texts
  int part = 0;      // 1: the second text of a pair, if each text has a vector of its own
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

// Tokenizes all texts on `threads` threads (0: all cores), with each side's default prompt where texts are
// embedded (Pairs::apart). The two sequences of a pair are neighbours. Truncation is said through `warn`.
// Errors: format (not UTF-8, or the ids differ: names the text and the first difference).
std::vector<Sequence> tokenize_both(const TextRunner& original, const TextRunner& quantized,
                                    std::span<const TextInput> texts, Pairs pairs, int threads,
                                    const Warning& warn);

// Indices of the sequences with different token ids, ascending: the first sequence for each list of ids.
std::vector<size_t> different_sequences(std::span<const Sequence> sequences);

// Indices of all, the fewest tokens first.
std::vector<size_t> by_length(std::span<const Sequence> sequences);

}  // namespace mlxe
