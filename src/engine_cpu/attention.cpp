// softmax(scale q k^T + bias) v, per text and head.
//
// Disentangled terms are products with the rows of a table of positions. A block of queries meets the rows that its
// distances select, 32 keys meet those of their distances to the block: the more queries a block has, the fewer rows are met
// twice. Products of distances that have a row of their own are then added side by side; those of distances that share
// rows are gathered.
//
// The keys of a head are packed to tiles once. Then scores, softmax and the weighted sum of the values are
// computed for one block of queries at a time, while the scores are in cache: 32 queries x 512 keys are 64
// KB. A block takes the keys that its queries see, all or those of a window: no matrix of all tokens by all
// tokens exists. Values are not packed: their rows have the layout of a tile.
#include <algorithm>
#include <cstdlib>

#include "engine_cpu/ops.h"
#include "models/relative_position.h"

namespace mlxe::cpu {
namespace {

constexpr int64_t kQueries = 32;
constexpr int64_t kKeys = 32;              // that meet the position queries together
constexpr int64_t kPositionQueries = 128;  // of a block, where keys meet position queries

}  // namespace

// The scores of queries [query, query + queries) and keys [first, last) of a text.
struct CpuOps::ScoreBlock {
  const float* values;  // of the queries
  int64_t stride, query, queries, first, last;
  float* scores;
  int64_t ld_scores;

  // Of `count` queries from the m-th on.
  ScoreBlock part(int64_t m, int64_t count) const noexcept {
    return {values + m * stride, stride, query + m, count, first, last, scores + m * ld_scores, ld_scores};
  }
};

const std::vector<int32_t>& CpuOps::position_rows(const Disentangled& d, int64_t longest) {
  std::vector<int32_t>& rows = workspace_.position_rows;
  rows.resize(static_cast<size_t>(2 * longest - 1));
  for (int64_t i = 0; i < 2 * longest - 1; ++i)
    rows[static_cast<size_t>(i)] =
        static_cast<int32_t>(position_row(i - (longest - 1), d.span, d.buckets, d.max_distance));
  return rows;
}

CpuOps::Positions CpuOps::positions(const std::vector<Tensor>& qkv, const AttentionSpec& spec,
                                    int64_t longest) {
  const Disentangled& d = *spec.disentangled;
  const int32_t* rows = position_rows(d, longest).data() + longest - 1;
  int64_t exact = 0;
  while (exact + 1 < longest && rows[exact + 1] == rows[0] + exact + 1 &&
         rows[-exact - 1] == rows[0] - exact - 1)
    ++exact;
  const int64_t top = rows[longest - 1], columns = top - rows[1 - longest] + 1, panel = kernels_.panel;
  Positions p{.keys = {},
              .queries = {},
              .top = top,
              .padded = up_to_multiple(columns, panel),
              .rows = rows,
              .exact = exact};
  const auto tiles = [&](const Tensor& table) {
    const int64_t size = table.columns() / spec.heads;
    Tensor packed = workspace_.arena.tensor(spec.heads, p.padded * size);
    loop(spec.heads, [&](int64_t head, int) {
      for (int64_t t = 0; t < columns; t += panel)
        kernels_.pack(table.row(top - t) + head * size, -table.stride(), std::min(panel, columns - t), size,
                      packed.row(head) + t * size);
    });
    return packed;
  };
  if (d.content_to_position) p.keys = tiles(qkv[3]);
  if (d.position_to_content) p.queries = tiles(qkv.back());
  return p;
}

CpuOps::PositionProducts CpuOps::position_products(const float* x, int64_t ld, int64_t count,
                                                   const Head& head, const Tensor& table, int64_t low,
                                                   int64_t high, float* memory) const {
  const Positions& p = *head.positions;
  const int64_t panel = kernels_.panel, first = p.column(high) / panel * panel;
  const int64_t stride = up_to_multiple(p.column(low) + 1 - first, panel);
  const float* tiles = table.row(head.first_column / head.size);
  for (int64_t t = 0; t < stride; t += panel)
    kernels_.matmul(x, ld, count, tiles + (first + t) * head.size, panel, head.size, kZeroRow, 0, memory + t,
                    stride, panel);
  return {memory, first, stride};
}

void CpuOps::add_content_to_position(const Head& head, const ScoreBlock& block, float* memory) const {
  const Positions& p = *head.positions;
  const PositionProducts products = position_products(block.values, block.stride, block.queries, head,
                                                      *p.keys, block.query - (block.last - 1),
                                                      block.query + block.queries - 1 - block.first, memory);
  for (int64_t m = 0; m < block.queries; ++m) {
    const int64_t query = block.query + m;
    const float* terms = products.values + m * products.stride - products.first;
    float* scores = block.scores + m * block.ld_scores - block.first;
    // Keys that are near have columns side by side.
    const int64_t near = std::clamp(query - p.exact, block.first, block.last);
    const int64_t far = std::clamp(query + p.exact + 1, near, block.last);
    for (int64_t j = block.first; j < near; ++j) scores[j] += terms[p.column(query - j)];
    const float* near_terms = terms + p.column(0) - query;
    for (int64_t j = near; j < far; ++j) scores[j] += near_terms[j];
    for (int64_t j = far; j < block.last; ++j) scores[j] += terms[p.column(query - j)];
  }
}

void CpuOps::add_position_to_content(const Head& head, const Tensor& k, const ScoreBlock& block,
                                     float* memory) const {
  const Positions& p = *head.positions;
  const int64_t panel = kernels_.panel;
  float* tile = memory;
  memory += block.queries * panel;
  for (int64_t j = block.first; j < block.last; j += kKeys) {
    const int64_t keys = std::min(kKeys, block.last - j);
    const int64_t low = block.query - (j + keys - 1), high = block.query + block.queries - 1 - j;
    const PositionProducts products = position_products(
        k.row(head.first_row + j) + head.kv_column, k.stride(), keys, head, *p.queries, low, high, memory);
    float* scores = block.scores + (j - block.first);
    if (std::max(-low, high) > p.exact) {
      for (int64_t m = 0; m < block.queries; ++m)
        for (int64_t n = 0; n < keys; ++n)
          scores[m * block.ld_scores + n] +=
              products.values[n * products.stride + p.column(block.query + m - (j + n)) - products.first];
      continue;
    }
    // All keys are near: the column of key n for query m is that of n - m, so that a step to the next key is a step of
    // one row and one column. Packing with this distance of rows turns the products around.
    const int64_t row = products.stride + 1;
    const float* last_query = products.values + p.column(high) - products.first;
    for (int64_t n = 0; n < keys; n += panel) {
      const int64_t count = std::min(panel, keys - n);
      kernels_.pack(last_query + n * row, row, count, block.queries, tile);
      for (int64_t m = 0; m < block.queries; ++m) {
        const float* terms = tile + (block.queries - 1 - m) * panel;
        float* sums = scores + m * block.ld_scores + n;
        for (int64_t i = 0; i < count; ++i) sums[i] += terms[i];
      }
    }
  }
}

Tensor CpuOps::relative_biases(const RelativeBias& bias, int64_t heads, int64_t longest) {
  const Weight& table = matrix(bias.table.weight, bias.table.rows, heads);
  Tensor all = workspace_.arena.tensor(heads, 2 * longest - 1);
  float* row = scratch(0, heads);
  for (int64_t i = 0; i < all.columns(); ++i) {
    table.decode(relative_bucket(i - (longest - 1), bias.buckets, bias.max_distance), 0, heads, row);
    for (int64_t head = 0; head < heads; ++head) all.row(head)[i] = row[head];
  }
  return all;
}

Tensor CpuOps::linear_biases(const std::vector<float>& slopes, int64_t longest) {
  Tensor all = workspace_.arena.tensor(static_cast<int64_t>(slopes.size()), 2 * longest - 1);
  for (int64_t head = 0; head < all.rows(); ++head)
    for (int64_t i = 0; i < all.columns(); ++i)
      all.row(head)[i] = -slopes[static_cast<size_t>(head)] * static_cast<float>(std::abs(i - (longest - 1)));
  return all;
}

Tensor CpuOps::attention(const std::vector<Tensor>& qkv, AttentionSpec spec, const Batch& batch) {
  const int64_t columns = qkv[0].columns(), size = columns / spec.heads;
  const bool one_query = qkv[0].rows() != qkv[1].rows();  // one query for each text
  Tensor out = workspace_.arena.tensor(qkv[0].rows(), columns);
  add_operand(out);
  int64_t longest = 1;
  for (int64_t text = 0; text < batch.texts(); ++text)
    longest = std::max<int64_t>(longest, batch.length(text));
  std::optional<Tensor> biases;
  if (spec.relative_bias) biases = relative_biases(*spec.relative_bias, spec.heads, longest);
  std::vector<float> slopes;
  if (spec.alibi) biases = linear_biases(slopes = alibi_slopes(spec.heads), longest);
  std::optional<Positions> positions;
  if (spec.disentangled) positions = this->positions(qkv, spec, longest);
  const RotaryTable* rotary = spec.rotary ? &workspace_.rotary.at(*spec.rotary, size, longest) : nullptr;
  std::optional<RowNorm> query_norm, key_norm;
  if (spec.norms) query_norm = resolve(spec.norms->query, size), key_norm = resolve(spec.norms->key, size);
  const int64_t behind = spec.window > 0 ? spec.window : longest, ahead = spec.causal ? 0 : behind;
  // Number of heads of keys in a unit of work: enough to fill 64 columns, which are then quantized or rounded while
  // they are in cache.
  const int64_t group = spec.group(), kv_heads = spec.heads / group, width = group * size;
  const int64_t together = out.has_operand() && kInt8Alignment % width == 0 ? kInt8Alignment / width : 1;
  const bool whole_groups = together * width % kInt8Alignment == 0;
  const int64_t units = (kv_heads + together - 1) / together;
  loop(batch.texts() * units, [&](int64_t unit, int slot) {
    const int64_t text = unit / units, first = unit % units * together;
    const int64_t last = std::min(first + together, kv_heads);
    const int64_t row = batch.offsets[static_cast<size_t>(text)], tokens = batch.key_count(text);
    const int64_t first_query = one_query ? text : row, queries = one_query ? 1 : batch.length(text);
    for (int64_t head = first; head < last; ++head)
      attend(qkv,
             {.first_query = first_query,
              .queries = queries,
              .first_row = row,
              .tokens = tokens,
              .first_column = head * width,
              .kv_column = head * size,
              .size = size,
              .count = group,
              .bias = biases ? biases->row(head * group) + longest - 1 : nullptr,
              .bias_stride = biases ? biases->stride() : 0,
              .slopes = slopes.empty() ? nullptr : slopes.data() + head * group,
              .rotary = rotary,
              .query_norm = query_norm ? &*query_norm : nullptr,
              .key_norm = key_norm ? &*key_norm : nullptr,
              .scale = spec.scale_of(size),
              .behind = behind,
              .ahead = ahead,
              .positions = positions ? &*positions : nullptr},
             out, slot);
    if (out.has_operand() && whole_groups)
      quantize_activations(out.row(first_query) + first * width, out.stride(), out,
                           {first_query, queries, first * width, (last - first) * width});
  });
  if (out.has_operand() && !whole_groups)
    loop_rows(out.rows(), [&](int64_t first, int64_t rows, int) { quantize_activations(out, first, rows); });
  return out;
}

void CpuOps::attend(const std::vector<Tensor>& qkv, const Head& head, const Tensor& out, int slot) {
  const Tensor &q = qkv[0], &k = qkv[1], &v = qkv[2];
  const bool made_rows = head.rotary != nullptr || head.query_norm != nullptr;
  const bool whole = !made_rows && head.count == 1 && head.sees_all();
  if (whole && out.has_operand() && bf16_.attend != nullptr && head.size % 32 == 0)
    return attend_bf16(q, k, v, head, out, slot);
  const int64_t n = head.tokens, panel = kernels_.panel, padded = up_to_multiple(n, panel);
  const int64_t block_rows = std::min(
      head.queries, head.positions != nullptr && head.positions->queries ? kPositionQueries : kQueries);
  const int64_t seen =  // keys of a block of queries, at most
      std::min(padded, up_to_multiple(head.behind + head.ahead + block_rows, panel) + panel);
  const int64_t made = made_rows ? std::max(panel, block_rows) : 0;
  float* key_tiles = scratch(
      slot, padded * head.size + block_rows * seen + made * head.size + position_floats(head, block_rows));
  float* scores = key_tiles + padded * head.size;
  float* made_values = scores + block_rows * seen;
  float* position_memory = made_values + made * head.size;
  // Rows of queries or keys, normalized and turned, and the distance of two.
  struct Rows {
    const float* values;
    int64_t stride;
  };
  const auto rows_of = [&](const float* rows, int64_t stride, int64_t position, int64_t count,
                           const RowNorm* norm) -> Rows {
    if (!made_rows) return {rows, stride};
    for (int64_t m = 0; m < count; ++m) {
      const float* row = rows + m * stride;
      float* values = made_values + m * head.size;
      if (norm != nullptr) {
        kernels_.norm(row, nullptr, norm->weight, norm->bias, norm->epsilon, norm->centered, head.size,
                      values);
        row = values;
      }
      if (head.rotary != nullptr) head.rotary->turn(row, position + m, values);
    }
    return {made_values, head.size};
  };

  for (int64_t j = 0; j < n; j += panel) {
    const int64_t count = std::min(panel, n - j);
    const Rows keys =
        rows_of(k.row(head.first_row + j) + head.kv_column, k.stride(), j, count, head.key_norm);
    kernels_.pack(keys.values, keys.stride, count, head.size, key_tiles + j * head.size);
  }
  for (int64_t i = 0; i < head.queries; i += block_rows) {
    const int64_t queries = std::min(block_rows, head.queries - i);
    // Of the keys the block sees; the first one begins a tile.
    const int64_t first = std::max<int64_t>(0, i - head.behind) / panel * panel;
    const int64_t last = std::min(n, i + queries + head.ahead);
    for (int64_t h = 0; h < head.count; ++h) {
      const int64_t column = head.first_column + h * head.size;
      const Rows block =
          rows_of(q.row(head.first_query + i) + column, q.stride(), i, queries, head.query_norm);
      for (int64_t j = first; j < last; j += panel)
        kernels_.matmul(block.values, block.stride, queries, key_tiles + j * head.size, panel, head.size,
                        kZeroRow, 0, scores + (j - first), seen, std::min(panel, last - j));
      if (head.positions != nullptr)
        add_disentangled(head, k, {block.values, block.stride, i, queries, first, last, scores, seen},
                         position_memory);
      for (int64_t m = 0; m < queries; ++m) {
        float* row = scores + m * seen;
        const int64_t from = std::max(first, i + m - head.behind),
                      to = std::min(last, i + m + head.ahead + 1);
        weigh(row + (from - first), to - from, head.scale,
              head.bias == nullptr ? nullptr : head.bias + h * head.bias_stride + from - (i + m));
        std::fill(row, row + (from - first), 0.0f);
        std::fill(row + (to - first), row + (last - first), 0.0f);
      }
      for (int64_t c = 0; c < head.size; c += panel)
        kernels_.matmul(scores, seen, queries, v.row(head.first_row + first) + head.kv_column + c, v.stride(),
                        last - first, kZeroRow, 0, out.row(head.first_query + i) + column + c, out.stride(),
                        std::min(panel, head.size - c));
    }
  }
}

// A head that sees all keys, with products of bfloat16. Disentangled terms are computed in float32, for a block of queries.
void CpuOps::attend_bf16(const Tensor& q, const Tensor& k, const Tensor& v, const Head& head,
                         const Tensor& out, int slot) {
  constexpr auto kFloat = static_cast<int64_t>(sizeof(float));
  const int64_t kernel_floats = bf16_.attend_bytes(head.tokens, head.size) / kFloat;
  const auto at = [&](const Tensor& t, int64_t row) { return t.row(row) + head.first_column; };
  Attention attention{at(q, head.first_query),
                      at(k, head.first_row),
                      at(v, head.first_row),
                      q.stride(),
                      head.queries,
                      head.tokens,
                      head.size,
                      head.scale,
                      at(out, head.first_query),
                      out.stride()};
  if (head.positions == nullptr) {
    if (head.slopes != nullptr)
      attention.slope = *head.slopes;
    else if (head.bias != nullptr)  // of distances, so that the next query's begin one before
      attention.terms = head.bias, attention.ld_terms = -1;
    return bf16_.attend(attention, reinterpret_cast<uint8_t*>(scratch(slot, kernel_floats)));
  }
  const int64_t block_rows = std::min(head.queries, kPositionQueries),
                padded = up_to_multiple(head.tokens, kernels_.panel);
  float* memory = scratch(slot, kernel_floats + block_rows * padded + position_floats(head, block_rows));
  float* terms = memory + kernel_floats;
  attention.terms = terms, attention.ld_terms = padded, attention.terms_factor = head.scale;
  for (int64_t i = 0; i < head.queries; i += block_rows) {
    attention.count = std::min(block_rows, head.queries - i);
    attention.queries = at(q, head.first_query + i);
    attention.out = at(out, head.first_query + i);
    std::fill_n(terms, attention.count * padded, 0.0f);
    add_disentangled(head, k,
                     {attention.queries, q.stride(), i, attention.count, 0, head.tokens, terms, padded},
                     terms + block_rows * padded);
    bf16_.attend(attention, reinterpret_cast<uint8_t*>(memory));
  }
}

// Of the products of 32 queries or keys with a table of positions, and a tile of them for each query of a block.
int64_t CpuOps::position_floats(const Head& head, int64_t block_rows) const {
  return head.positions == nullptr ? 0 : kQueries * head.positions->padded + block_rows * kernels_.panel;
}

void CpuOps::add_disentangled(const Head& head, const Tensor& k, const ScoreBlock& block,
                              float* memory) const {
  if (head.positions->keys)
    for (int64_t m = 0; m < block.queries; m += kQueries)
      add_content_to_position(head, block.part(m, std::min(kQueries, block.queries - m)), memory);
  if (head.positions->queries) add_position_to_content(head, k, block, memory);
}

// Converts the scores of one query to weights. `bias`: added to the scaled scores, or null.
void CpuOps::weigh(float* scores, int64_t n, float factor, const float* bias) {
  if (bias == nullptr) return kernels_.softmax(scores, factor, n);
  kernels_.scale(scores, factor, n, scores);
  kernels_.add(scores, bias, n, scores);
  kernels_.softmax(scores, 1, n);
}

}  // namespace mlxe::cpu
