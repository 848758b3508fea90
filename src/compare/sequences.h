// The token ids both sides run, made by each side's own tokenizer and checked to be the same.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "encoder/text_runner.h"
#include "mlx_encoder/encoder.h"

namespace mlxe {

// A row compared is a row of the same token: that holds only if both folders give the same ids.
struct Sequence {
  int64_t text = 0;  // index into the texts
  int part = 0;      // 1: the second text of a pair, where each has a vector of its own
  std::vector<int32_t> ids;
  std::array<std::vector<int32_t>, 2>
      type_ids;                        // of the original, of the quantized side: a model re-expressed as
                                       // another may see token types the original has not
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

// Indices of the sequences whose token ids no earlier one has, ascending. Equal ids give equal vectors, which
// say nothing about how far different texts lie apart.
std::vector<size_t> different_sequences(std::span<const Sequence> sequences);

// Indices of all, the fewest tokens first.
std::vector<size_t> by_length(std::span<const Sequence> sequences);

}  // namespace mlxe
