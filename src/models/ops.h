// The closed list of operations a model is written in. Each engine implements all of them over its own
// Tensor.
//
// A Tensor is a float matrix [rows, columns]; token matrices have one row a token of the ragged batch, text
// matrices one row a text, table matrices one row a row of a table. Ops are coarse on purpose, so that an engine
// may fuse: `multi_linear` shares one input, `feed_forward` may keep the wide intermediate in cache. T tokens, B texts,
// D hidden, H heads, F feed-forward.
#pragma once

#include <cmath>
#include <concepts>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "format/pooling_kind.h"
#include "mlx_encoder/error.h"
#include "models/activation.h"
#include "models/batch.h"
#include "models/parameters.h"

namespace mlxe {

// Leaves new floats as they are: a result is written once, not cleared before.
struct UninitializedFloats : std::allocator<float> {
  template <class U>
  struct rebind {
    using other = UninitializedFloats;
  };
  void construct(float*) noexcept {}
  template <class... Arguments>
  void construct(float* p, Arguments&&... arguments) {
    ::new (static_cast<void*>(p)) float(std::forward<Arguments>(arguments)...);
  }
};

struct Matrix {
  using Values = std::vector<float, UninitializedFloats>;
  int64_t rows = 0;
  int64_t columns = 0;
  Values values;  // row-major

  std::span<const float> row(int64_t i) const {
    return std::span(values).subspan(static_cast<size_t>(i * columns), static_cast<size_t>(columns));
  }
};

// Row rows[i] of the table, times the table's scale, is added to output row i; nothing if rows[i] is kNoRow.
struct Lookup {
  Embedding table;
  std::span<const int32_t> rows;
  bool gaps = false;  // whether a row may be kNoRow
};

inline constexpr int32_t kNoRow = -1;

// Throws format where a row is not in the table `name` of `count` rows.
inline void check_rows(const Lookup& lookup, int64_t count, const std::string& name) {
  for (const int32_t row : lookup.rows)
    if (row < (lookup.gaps ? kNoRow : 0) || row >= count)
      throw Error(ErrorCode::format, name + ": index " + std::to_string(row) + " is out of range (" +
                                         std::to_string(count) +
                                         " rows); the tokenizer may belong to another model, or the text is "
                                         "longer than the model allows");
}

// Each head's learned bias for the place of a key relative to the query, which is added to the scaled score.
// relative_bucket() in models/relative_position.h is the row of a distance.
struct RelativeBias {
  Embedding table;  // [buckets or more, heads]
  int64_t buckets = 0;
  int64_t max_distance = 0;
};

// Attention by content and by position, after DeBERTa. Values of row kind table hold a row for each bucket of distances;
// position_row() in models/relative_position.h is the row of a distance. Two terms are added to the score of query i and
// key j, whose distance has row r. The sum is then scaled.
struct Disentangled {
  int64_t span = 0;                  // the tables have 2 * span rows
  int64_t buckets = 0;               // 0: each distance below `span` has a row
  int64_t max_distance = 0;          // of buckets
  bool content_to_position = false;  // query i . row r of the position keys
  bool position_to_content = false;  // key j . row r of the position queries
};

// Rotary positions: columns i and i + n/2 of a head's n are turned by position * scale * base^(-2i/n), in queries and
// keys.
struct Rotary {
  float base = 10000;
  float scale = 1;
};

// Norms of each head's query and key, before rotary positions. All heads share the weights.
struct HeadNorms {
  LayerNorm query, key;
};

struct AttentionSpec {
  int64_t heads = 1;
  int64_t kv_heads =
      0;  // of keys and values, each read by heads / kv_heads consecutive heads; 0: as many as heads
  std::optional<RelativeBias> relative_bias = {};
  std::optional<Rotary> rotary = {};
  std::optional<HeadNorms> norms = {};
  int64_t window = 0;               // a query sees keys at most this far from it, on either side; 0: all
  bool causal = false;              // a query sees no key after it
  std::optional<float> scale = {};  // of the products of queries and keys; none: 1 / sqrt(columns of a head)
  std::optional<Disentangled> disentangled = {};
  // Linear biases (ALiBi): the scaled score of a query and a key `d` tokens apart, on either side, loses d times the
  // head's slope. alibi_slopes() in models/relative_position.h has the slopes.
  bool alibi = false;

  // Whether the scores depend on positions beyond a mask.
  bool biased() const noexcept { return relative_bias || disentangled || alibi; }
  int64_t group() const noexcept { return kv_heads > 0 ? heads / kv_heads : 1; }  // heads that share a key
  // With heads of `columns` columns.
  float scale_of(int64_t columns) const noexcept {
    return scale.value_or(1 / std::sqrt(static_cast<float>(columns)));
  }
};

// down(activation(up(x))), or with a gate down(activation(gate(x)) * up(x)).
struct FeedForward {
  Linear up;
  std::optional<Linear> gate = {};
  Activation activation = Activation::identity;
  Linear down;
};

template <class E>
concept EncoderOps = requires(E e, const typename E::Tensor& x, const std::vector<typename E::Tensor>& xs,
                              const Batch& batch, const Linear& l, const LayerNorm& n,
                              std::span<const Linear> ls, std::span<const Lookup> lookups,
                              std::span<const int32_t> rows, AttentionSpec spec, const FeedForward& f,
                              Activation a, PoolingKind p, const Embedding& table, const Convolution& c,
                              const RowBias& bias, TermWeighting terms) {
  { e.embed(lookups) } -> std::same_as<typename E::Tensor>;   // sum of looked-up rows, [T, D]
  { e.all_rows(table) } -> std::same_as<typename E::Tensor>;  // [rows, columns]
  { e.linear(x, l) } -> std::same_as<typename E::Tensor>;     // x W^T + b
  { e.multi_linear(x, ls) } -> std::same_as<std::vector<typename E::Tensor>>;  // several linears of one input
  {
    e.attention(xs, spec, batch)
    } -> std::same_as<typename E::Tensor>;  // xs = {q, k, v}, each [T, D]; softmax(scale q k^T + bias) v;
        // then the position keys and queries, [2 span, D], of the terms in
        // spec.disentangled;
        // q may be [B, D]: the query of each text's first token;
        // k and v are [T, D / group] where heads share them
  { e.convolution(x, c, batch) } -> std::same_as<typename E::Tensor>;  // within each text, [T, channels]
  { e.layer_norm(x, n) } -> std::same_as<typename E::Tensor>;          // of any kind
  { e.add_layer_norm(x, x, n) } -> std::same_as<typename E::Tensor>;   // layer_norm(a + b)
  { e.feed_forward(x, f) } -> std::same_as<typename E::Tensor>;
  { e.activate(x, a) } -> std::same_as<typename E::Tensor>;
  { e.take(x, rows) } -> std::same_as<typename E::Tensor>;      // the named rows, in order
  { e.pool(x, p, batch) } -> std::same_as<typename E::Tensor>;  // [T, D] -> [B, D]
  // [T, D] -> [B, terms]: TermWeighting of the products of l, of which only some columns or rows exist at a time
  { e.term_weights(x, l, terms, batch) } -> std::same_as<typename E::Tensor>;
  { e.add(x, x) } -> std::same_as<typename E::Tensor>;       // two of one shape
  { e.subtract(x, x) } -> std::same_as<typename E::Tensor>;  // the second from the first
  { e.multiply(x, x) } -> std::same_as<typename E::Tensor>;  // element by element
  { e.add_bias(x, bias) } -> std::same_as<typename E::Tensor>;
  { e.columns(x, int64_t{}, int64_t{}) } -> std::same_as<typename E::Tensor>;  // the first one, their number
  { e.weighted_rows(x, table) } -> std::same_as<typename E::Tensor>;           // x W, W the table
  { e.concatenate(xs) } -> std::same_as<typename E::Tensor>;                   // columns side by side
  { e.normalize(x) } -> std::same_as<typename E::Tensor>;  // rows to unit L2 norm (norm floored at 1e-12)
  { e.to_host(x) } -> std::same_as<Matrix>;                // to host memory
};

}  // namespace mlxe
