// The sparse vectors of texts, by a masked language model with SPLADE's pooling or by bge-m3's weights of tokens.
#pragma once

#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "encoder/text_runner.h"
#include "mlx_encoder/encoder.h"

namespace mlxe {

// Takes the sparse vectors of texts out of a run.
class SparseRows {
 public:
  // `texts`: their number. Errors: unsupported (the model has no sparse vectors), usage (`top_k` below 0).
  SparseRows(const TextRunner& runner, size_t texts, int64_t top_k);

  Output output() const noexcept { return output_; }  // that the run has to give
  void take(const TextRunner::TextResult& r);
  // Of a text that is looked up: the weights of its tokens.
  void take(size_t text, const Encoding& encoding, std::span<const float> weights);
  SparseVectors finish() &&;

 private:
  struct Row {
    std::vector<int32_t> indices;
    std::vector<float> values;
  };
  Row of_tokens(const TextRunner::TextResult& r) const;
  void keep_largest(Row& row) const;

  Output output_;
  int64_t terms_;              // in the vocabulary
  int64_t top_k_;              // 0: all
  std::set<int32_t> skipped_;  // tokens without a weight
  std::vector<Row> rows_;
};

// Encoder::embed_sparse.
SparseVectors sparse_vectors(const TextRunner& runner, std::span<const std::string> texts,
                             const SparseOptions& options);

}  // namespace mlxe
