// The ops of models/ops.h on our kernels, for one call.
//
// Scheduling: an op runs either on the calling thread (if each thread runs a chunk of a larger batch) or on
// the threads of the pool. Results do not depend on the choice.
#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/thread_pool.h"
#include "engine_cpu/arena.h"
#include "engine_cpu/rotary_tables.h"
#include "engine_cpu/weight.h"
#include "kernels/table.h"
#include "models/ops.h"

namespace mlxe::cpu {

// The memory of a call. The engine keeps it between calls.
struct Workspace {
  Arena arena;
  std::vector<std::unique_ptr<Buffer>> scratch, expanded;  // one for each thread of the call
  std::vector<Matrix::Values> read;                        // memory of earlier results, to be reused
  std::vector<float> zeros;                                // the bias of norms that have none
  std::vector<int32_t> position_rows;                      // of an attention's disentangled terms
  RotaryTables rotary;
};

class CpuOps {
 public:
  using Tensor = cpu::Tensor;

  // `pool` null: everything runs on the calling thread. `format`: that of activations for packed weights.
  CpuOps(const std::deque<Weight>& weights, Workspace& workspace, ThreadPool* pool, ActivationFormat format);

  Tensor embed(std::span<const Lookup> lookups);
  Tensor all_rows(const Embedding& table);
  Tensor linear(const Tensor& x, const Linear& l) { return linear(x, l, Activation::identity); }
  std::vector<Tensor> multi_linear(const Tensor& x, std::span<const Linear> ls);
  Tensor attention(const std::vector<Tensor>& qkv, AttentionSpec spec, const Batch& batch);
  Tensor convolution(const Tensor& x, const Convolution& c, const Batch& batch);
  Tensor layer_norm(const Tensor& x, const LayerNorm& norm) { return layer_norm(x, nullptr, norm); }
  Tensor add_layer_norm(const Tensor& a, const Tensor& b, const LayerNorm& norm) {
    return layer_norm(a, &b, norm);
  }
  Tensor feed_forward(const Tensor& x, const FeedForward& f);
  Tensor activate(const Tensor& x, Activation activation);
  Tensor take(const Tensor& x, std::span<const int32_t> rows);
  Tensor pool(const Tensor& x, PoolingKind kind, const Batch& batch);
  Tensor columns(const Tensor& x, int64_t first, int64_t count);
  Tensor weighted_rows(const Tensor& x, const Embedding& table);
  Tensor term_weights(const Tensor& x, const Linear& l, TermWeighting weighting, const Batch& batch);
  Tensor concatenate(const std::vector<Tensor>& parts);
  Tensor add(const Tensor& a, const Tensor& b);
  Tensor add_bias(const Tensor& x, const RowBias& bias);
  Tensor subtract(const Tensor& a, const Tensor& b);
  Tensor multiply(const Tensor& a, const Tensor& b);
  Tensor normalize(const Tensor& x);
  Matrix to_host(const Tensor& x) const;

 private:
  // Rows [first_row, first_row + rows) x columns [first_column, first_column + columns) of an output.
  struct Block {
    int64_t first_row, rows, first_column, columns;
  };
  Tensor linear(const Tensor& x, const Linear& l, Activation activation);
  // Products of float32 activations with stored weights, whose rows begin at `first_weight_row`.
  void float_linear(const Tensor& x, const Weight& w, int64_t first_weight_row, const float* bias,
                    ActivationKernel activation, const Tensor& y);
  // Columns of such products, at most a panel, for a block of rows. `memory`: float_block_floats() floats.
  void float_block(const Tensor& x, const Weight& w, int64_t first_weight_row, const float* bias,
                   const Block& block, float* out, int64_t stride, float* memory);
  int64_t float_block_floats() const;
  // Products of one input with several weights, all packed.
  void packed_linears(const Tensor& x, std::span<const Linear> ls, ActivationKernel activation,
                      std::span<const Tensor> ys);
  // A linear whose weights are resolved and checked.
  struct PackedLinear {
    const PackedWeight* weight;
    const float* bias;  // null: none
    int64_t columns;
    int64_t first_panel;  // of the weight, for a part of a fused matrix
  };
  PackedLinear resolve(const Linear& l) const;
  const float* bias_of(const Linear& l) const;  // null: none
  void packed_block(const Tensor& x, const PackedLinear& l, const Block& block, float* out, int64_t stride,
                    int slot);
  void int8_block(const Tensor& x, const PackedLinear& l, const Block& block, float* out, int64_t stride,
                  int slot);
  void bf16_block(const Tensor& x, const PackedLinear& l, const Block& block, float* out, int64_t stride,
                  int slot);
  // The values to which a product of the columns from `k` on is added.
  struct Start {
    const float* values;
    int64_t stride;
  };
  static Start start_of(const PackedLinear& l, int64_t first_column, int64_t k, const float* out,
                        int64_t stride);
  Tensor packed_feed_forward(const Tensor& x, const FeedForward& f);
  const PackedWeight* packed(const Linear& l) const;  // null if the linear takes float32 activations
  Tensor quantize_activations(const Tensor& x);       // x with its values also quantized or rounded
  void add_operand(Tensor& x);                        // allocates the operand, unless activations are float32
  // Quantizes or rounds `values`, the floats of a block of x, into x's operand. Row stride: `stride` floats.
  void quantize_activations(const float* values, int64_t stride, const Tensor& x, const Block& block);
  void quantize_activations(const Tensor& x, int64_t first_row, int64_t rows) {
    quantize_activations(x.row(first_row), x.stride(), x, {first_row, rows, 0, x.columns()});
  }
  // A norm whose weights are resolved and checked, as a kernel takes it.
  struct RowNorm {
    const float *weight, *bias;  // bias: zeros where the norm has none, valid until a wider one is resolved
    float epsilon;
    bool centered;
    std::optional<Tensor> gains = {};  // what `weight` points to, if it is not what is stored
  };
  RowNorm resolve(const LayerNorm& norm, int64_t columns);
  // Of a + b; b may be null.
  Tensor layer_norm(const Tensor& a, const Tensor* b, const LayerNorm& norm);
  Tensor affine(const Tensor& a, const Tensor* b, const LayerNorm& norm);
  // The disentangled terms of one attention. A table of positions is turned around, so that its columns ascend with the
  // keys: column t is row `top` - t.
  struct Positions {
    std::optional<Tensor> keys, queries;  // [heads, padded columns * size]: tiles; none without that term
    int64_t top, padded;
    const int32_t* rows;  // the table row of each distance from a key to a query; rows[0]: of distance 0
    int64_t exact;        // up to this distance, on either side, each distance has a row of its own
    int64_t column(int64_t distance) const noexcept { return top - rows[distance]; }
  };
  // One head of keys and values of one text, and the `count` consecutive heads of queries that read it.
  struct Head {
    int64_t first_query, queries;  // rows of q and of the result
    int64_t first_row,
        tokens;  // rows of k and v: of the text's tokens that are read, which are its first ones
    int64_t first_column, kv_column, size, count;
    const float* bias;                     // of distance 0, or null
    int64_t bias_stride;                   // to the next head's
    const float* slopes;                   // of the heads, where `bias` is linear, or null
    const RotaryTable* rotary;             // or null
    const RowNorm *query_norm, *key_norm;  // or null
    float scale;                           // of the scores
    int64_t behind, ahead;                 // how far from it a query sees keys before and after it
    const Positions* positions;            // or null
    bool sees_all() const noexcept { return behind >= tokens && ahead >= tokens; }
  };
  // [heads, 2 longest - 1]: the bias of each distance from -(longest - 1) on.
  Tensor relative_biases(const RelativeBias& bias, int64_t heads, int64_t longest);
  Tensor linear_biases(const std::vector<float>& slopes, int64_t longest);
  // The table row of each distance from -(longest - 1) to longest - 1.
  const std::vector<int32_t>& position_rows(const Disentangled& d, int64_t longest);
  Positions positions(const std::vector<Tensor>& qkv, const AttentionSpec& spec, int64_t longest);
  void attend(const std::vector<Tensor>& qkv, const Head& head, const Tensor& out, int slot);
  void attend_bf16(const Tensor& q, const Tensor& k, const Tensor& v, const Head& head, const Tensor& out,
                   int slot);
  struct ScoreBlock;
  // Products of rows with the columns [first, first + stride) of a table of positions.
  struct PositionProducts {
    const float* values;
    int64_t first, stride;
  };
  // x: `count` rows with the distance `ld`. The columns are at least those of the distances [low, high].
  PositionProducts position_products(const float* x, int64_t ld, int64_t count, const Head& head,
                                     const Tensor& table, int64_t low, int64_t high, float* memory) const;
  void add_content_to_position(const Head& head, const ScoreBlock& block, float* memory) const;
  void add_position_to_content(const Head& head, const Tensor& k, const ScoreBlock& block,
                               float* memory) const;
  void add_disentangled(const Head& head, const Tensor& k, const ScoreBlock& block, float* memory) const;
  int64_t position_floats(const Head& head, int64_t block_rows) const;
  void weigh(float* scores, int64_t n, float factor, const float* bias);

  const Weight& weight(WeightId id) const;
  const float* vector(WeightId id, int64_t size) const;  // throws format if it has another size
  const Weight& matrix(WeightId id, int64_t rows, int64_t columns) const;
  float* scratch(int slot, int64_t floats);    // aligned, not initialised; valid until the next call
  uint8_t* expanded(int slot, int64_t bytes);  // a second such memory, for expanded codes

  // Calls body(index, slot) for each index in [0, count). `slot` selects the scratch memory.
  template <class Body>
  void loop(int64_t count, Body&& body) {
    if (pool_ == nullptr) {
      for (int64_t i = 0; i < count; ++i) body(i, 0);
    } else {
      pool_->parallel_for(count, std::ref(body));
    }
  }
  int64_t threads() const { return pool_ == nullptr ? 1 : pool_->threads(); }
  // Calls body(first, rows, slot) for blocks of rows that are large enough for a thread.
  template <class Body>
  void loop_rows(int64_t rows, Body&& body) {
    constexpr int64_t kSmallest = 4, kLargest = 16;
    const int64_t size = std::clamp((rows + threads() - 1) / threads(), kSmallest, kLargest);
    loop((rows + size - 1) / size,
         [&](int64_t block, int slot) { body(block * size, std::min(size, rows - block * size), slot); });
  }

  const std::deque<Weight>& weights_;
  Workspace& workspace_;
  ThreadPool* pool_;
  const Kernels& kernels_;
  const Int8Kernels& int8_;
  const Bf16Kernels& bf16_;
  ActivationFormat format_;
};

ActivationKernel kernel_of(const Kernels& kernels, Activation activation);  // null for identity

// A row of zeros, as wide as the widest unit of work.
inline constexpr float kZeroRow[256] = {};

}  // namespace mlxe::cpu
