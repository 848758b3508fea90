// The ops of models/ops.h on mlx::core, for one run of one batch.
#pragma once

#include <mlx/mlx.h>

#include <optional>
#include <span>
#include <vector>

#include "engine_mlx/module/padded_layout.h"
#include "engine_mlx/module/weights.h"
#include "models/ops.h"

namespace mlxe {

class MlxOps {
 public:
  using Tensor = mx::array;

  MlxOps(const MlxWeights& weights, const Batch& batch);

  Tensor embed(std::span<const Lookup> lookups) const;
  Tensor all_rows(const Embedding& table) const;
  Tensor linear(const Tensor& x, const Linear& l) const;
  std::vector<Tensor> multi_linear(const Tensor& x, std::span<const Linear> ls) const;
  Tensor attention(const std::vector<Tensor>& qkv, AttentionSpec spec, const Batch& batch) const;
  Tensor convolution(const Tensor& x, const Convolution& c, const Batch& batch) const;
  Tensor layer_norm(const Tensor& x, const LayerNorm& n) const;
  Tensor add_layer_norm(const Tensor& a, const Tensor& b, const LayerNorm& n) const;
  Tensor feed_forward(const Tensor& x, const FeedForward& f) const;
  Tensor activate(const Tensor& x, Activation activation) const;
  Tensor take(const Tensor& x, std::span<const int32_t> rows) const;
  Tensor pool(const Tensor& x, PoolingKind kind, const Batch& batch) const;  // in float32
  Tensor columns(const Tensor& x, int64_t first, int64_t count) const;
  Tensor weighted_rows(const Tensor& x, const Embedding& table) const;
  Tensor term_weights(const Tensor& x, const Linear& l, TermWeighting weighting,
                      const Batch& batch) const;  // in float32
  Tensor concatenate(const std::vector<Tensor>& xs) const;
  Tensor add(const Tensor& a, const Tensor& b) const;
  Tensor subtract(const Tensor& a, const Tensor& b) const;
  Tensor multiply(const Tensor& a, const Tensor& b) const;
  Tensor add_bias(const Tensor& x, const RowBias& bias) const;
  Tensor normalize(const Tensor& x) const;
  Matrix to_host(const Tensor& x) const;

 private:
  // `layout`: of `batch`, whose texts are pooled whole.
  Tensor pool(const Tensor& x32, PoolingKind kind, const Batch& batch, const PaddedLayout& layout) const;
  Tensor normalized(const Tensor& x, const LayerNorm& n) const;  // along the last axis
  struct ScoreBlock;
  // What is added to the scaled scores by position, [1 or texts, heads, queries, keys]. Empty: nothing is.
  std::optional<Tensor> position_scores(const AttentionSpec& spec, const ScoreBlock& block) const;
  // Which keys are seen (bool), or with scores by position what is added to the scores (-infinity where not seen);
  // [1 or texts, 1 or heads, 1 or queries, keys]. Empty: all are, and nothing is.
  std::optional<Tensor> attention_mask(const AttentionSpec& spec, const PaddedLayout::Chunk& chunk,
                                       const ScoreBlock& block) const;
  // qkv: [texts, heads, queries or length, head size]; keys and values may have fewer heads. Then the tables of
  // spec.disentangled, [1, heads, rows, head size].
  Tensor attend(const std::vector<Tensor>& qkv, const AttentionSpec& spec,
                const PaddedLayout::Chunk& chunk) const;

  const MlxWeights& weights_;
  PaddedLayout layout_;
};

static_assert(EncoderOps<MlxOps>);

}  // namespace mlxe
