#include "engine_mlx/module/ops.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "mlx_encoder/error.h"
#include "models/relative_position.h"

namespace mlxe {
namespace {

const char* mlx_mode(Mode mode) {
  switch (mode) {
    case Mode::mxfp4:
      return "mxfp4";
    case Mode::mxfp8:
      return "mxfp8";
    case Mode::nvfp4:
      return "nvfp4";
    default:
      return "affine";
  }
}

// A constant of x's dtype: a float32 constant would convert a float16 tensor to float32.
mx::array constant(double value, const mx::array& x) {
  return mx::array(value, x.dtype());
}

mx::array indices(std::span<const int32_t> rows) {
  return mx::array(rows.data(), {static_cast<int>(rows.size())}, mx::int32);
}

// Rows of a table; all if `rows` is null.
mx::array rows_of(const MlxWeight& table, const mx::array* rows) {
  const auto part = [&](const mx::array& stored) {
    return rows == nullptr ? stored : mx::take(stored, *rows, 0);
  };
  if (!table.quantized()) return part(table.codes);
  std::optional<mx::array> biases;
  if (table.biases) biases = part(*table.biases);
  return mx::dequantize(part(table.codes), part(*table.scales), biases, table.scheme.group_size,
                        table.scheme.bits, mlx_mode(table.scheme.mode), std::nullopt, table.dtype);
}

mx::array look_up(const MlxWeight& table, const Lookup& lookup) {
  check_rows(lookup, lookup.table.rows, table.name);
  const mx::array given = indices(lookup.rows);
  const mx::array rows = lookup.gaps ? mx::maximum(given, mx::array(0)) : given;
  mx::array x = rows_of(table, &rows);
  if (lookup.table.scale != 1) x = mx::multiply(x, constant(lookup.table.scale, x));
  if (!lookup.gaps) return x;
  return mx::where(mx::expand_dims(mx::equal(given, mx::array(kNoRow)), 1), constant(0, x), x);
}

// Evaluates the queued operations before the next layer is built, so that only one layer's temporaries
// exist. On a GPU, starts the evaluation without waiting for it.
void settle(const mx::array& x) {
  if (mx::default_device() == mx::Device::cpu)
    mx::eval(x);
  else
    mx::async_eval(x);
}

// The weight of each token of a text in the pooled vector. For `max`, a value to add instead: 0, or
// -infinity for a token that does not count. As in sentence-transformers' Pooling. The first `skipped`
// tokens are a prompt.
std::vector<float> token_weights(PoolingKind kind, int length, int skipped) {
  if (kind == PoolingKind::max) {
    std::vector<float> added(static_cast<size_t>(length), -std::numeric_limits<float>::infinity());
    std::fill(added.begin() + skipped, added.end(), 0.0f);
    return added;
  }
  const int first = kind == PoolingKind::last_token ? std::max(skipped, length - 1) : skipped;
  const auto weight = [&](int i) { return kind == PoolingKind::weighted_mean ? i + 1 : 1; };
  double total = 0;
  for (int i = first; i < length; ++i) total += weight(i);
  if (kind == PoolingKind::mean_sqrt_len) total = std::sqrt(total);
  std::vector<float> weights(static_cast<size_t>(length), 0.0f);
  for (int i = first; i < length; ++i) weights[i] = static_cast<float>(weight(i) / total);
  return weights;
}

// The parts of texts as texts of their own, for a pooling that depends on no position. The first part of a text begins
// with the tokens that are skipped before it.
Batch parts_as_texts(const Batch& batch, std::vector<int32_t>& rows) {
  Batch texts;
  int32_t text = -1;
  for (const PooledTokens& part : batch.parts) {
    const int32_t from = part.text == text ? part.begin : batch.offsets[part.text];
    text = part.text;
    for (int32_t t = from; t < part.end; ++t) rows.push_back(t);
    texts.append(std::span(batch.ids).subspan(from, part.end - from), {}, part.begin - from);
  }
  return texts;
}

}  // namespace

MlxOps::MlxOps(const MlxWeights& weights, const Batch& batch) : weights_(weights), layout_(batch) {}

mx::array MlxOps::embed(std::span<const Lookup> lookups) const {
  mx::array sum = look_up(weights_.at(lookups[0].table.weight), lookups[0]);
  for (const Lookup& lookup : lookups.subspan(1))
    sum = mx::add(sum, look_up(weights_.at(lookup.table.weight), lookup));
  return sum;
}

mx::array MlxOps::all_rows(const Embedding& table) const {
  return rows_of(weights_.at(table.weight), nullptr);
}

mx::array MlxOps::linear(const mx::array& x, const Linear& l) const {
  const MlxWeight& w = weights_.at(l.weight);
  const auto rows = [&](const mx::array& stored) {
    if (l.out == l.rows()) return stored;
    mx::Shape first(stored.ndim(), 0), last = stored.shape();
    first[0] = static_cast<int>(l.first_row);
    last[0] = static_cast<int>(l.first_row + l.out);
    return mx::slice(stored, first, last);
  };
  std::optional<mx::array> biases;
  if (w.biases) biases = rows(*w.biases);
  const mx::array product =
      w.quantized() ? mx::quantized_matmul(x, rows(w.codes), rows(*w.scales), biases, true,
                                           w.scheme.group_size, w.scheme.bits, mlx_mode(w.scheme.mode))
                    : mx::matmul(x, mx::transpose(rows(w.codes)));
  return l.bias == kNoWeight ? product : mx::add(product, rows(weights_.at(l.bias).codes));
}

std::vector<mx::array> MlxOps::multi_linear(const mx::array& x, std::span<const Linear> ls) const {
  std::vector<mx::array> results;
  for (const Linear& l : ls) results.push_back(linear(x, l));
  return results;
}

// Queries from `first_query` on of a chunk's texts, and the keys they see.
struct MlxOps::ScoreBlock {
  int first_query, queries, first_key, keys;
  const std::vector<mx::array>& values;  // queries and keys of the block, then the tables of positions
  float scale;

  int lowest() const { return first_key - (first_query + queries - 1); }  // distance from a query to a key
  int highest() const { return first_key + keys - 1 - first_query; }
  mx::array distances() const {  // from each query to each key, [queries, keys]
    const auto range = [](int first, int count) { return mx::arange(first, first + count, mx::int32); };
    return mx::subtract(mx::reshape(range(first_key, keys), {1, keys}),
                        mx::reshape(range(first_query, queries), {queries, 1}));
  }
};

std::optional<mx::array> MlxOps::position_scores(const AttentionSpec& spec, const ScoreBlock& block) const {
  if (!spec.biased()) return std::nullopt;
  if (spec.alibi) {
    std::vector<float> slopes = alibi_slopes(spec.heads);
    for (float& slope : slopes) slope = -slope;
    const mx::array by_head(slopes.data(), {1, static_cast<int>(spec.heads), 1, 1}, mx::float32);
    const mx::array apart = mx::expand_dims(mx::abs(block.distances()), {0, 1});
    return mx::astype(mx::multiply(by_head, apart), block.values[0].dtype());
  }
  const int lowest = block.lowest(), highest = block.highest();
  const auto rows_of_distances = [&](auto row_of) {
    std::vector<int32_t> rows;
    for (int d = lowest; d <= highest; ++d) rows.push_back(static_cast<int32_t>(row_of(d)));
    return rows;
  };
  const mx::array steps = mx::subtract(block.distances(), mx::array(lowest));  // indices of rows_of_distances
  if (spec.relative_bias) {
    const RelativeBias& bias = *spec.relative_bias;
    const std::vector<int32_t> buckets =
        rows_of_distances([&](int d) { return relative_bucket(d, bias.buckets, bias.max_distance); });
    const mx::array by_distance = mx::take(weights_.at(bias.table.weight).codes, indices(buckets), 0);
    return mx::expand_dims(mx::transpose(mx::take(by_distance, steps, 0), {2, 0, 1}), 0);
  }
  const Disentangled& d = *spec.disentangled;
  // -distance is from the key to the query.
  std::vector<int32_t> rows = rows_of_distances(
      [&](int distance) { return position_row(-distance, d.span, d.buckets, d.max_distance); });
  const int32_t first = rows.back(), count = rows.front() - first + 1;  // of the table
  for (int32_t& row : rows) row -= first;
  const mx::array row = mx::reshape(mx::take(indices(rows), steps), {1, 1, block.queries, block.keys});
  // The products of x with the table's rows, of which each query and key takes one.
  const auto products = [&](const mx::array& x, const mx::array& table) {
    const mx::array part =
        mx::slice(table, {0, 0, first, 0}, {1, table.shape(1), first + count, table.shape(3)});
    return mx::multiply(mx::matmul(x, mx::swapaxes(part, 2, 3)), constant(block.scale, x));
  };
  const auto chosen = [&](const mx::array& all, const mx::array& index) {
    return mx::take_along_axis(
        all, mx::broadcast_to(index, {all.shape(0), all.shape(1), all.shape(2), index.shape(3)}), 3);
  };
  std::optional<mx::array> sum;
  if (d.content_to_position) sum = chosen(products(block.values[0], block.values[2]), row);
  if (d.position_to_content) {
    const mx::array term =
        mx::swapaxes(chosen(products(block.values[1], block.values.back()), mx::swapaxes(row, 2, 3)), 2, 3);
    sum = sum ? mx::add(*sum, term) : term;
  }
  return sum;
}

std::optional<mx::array> MlxOps::attention_mask(const AttentionSpec& spec, const PaddedLayout::Chunk& chunk,
                                                const ScoreBlock& block) const {
  std::optional<mx::array> mask;  // true: seen
  if (chunk.mask)
    mask =
        mx::slice(*chunk.mask, {0, 0, 0, block.first_key}, {chunk.texts, 1, 1, block.first_key + block.keys});
  const auto see = [&](const mx::array& keys) {
    const mx::array seen = mx::reshape(keys, {1, 1, block.queries, block.keys});
    mask = mask ? mx::logical_and(*mask, seen) : seen;
  };
  if (spec.window > 0)
    see(mx::less_equal(mx::abs(block.distances()), mx::array(static_cast<int32_t>(spec.window))));
  if (spec.causal) see(mx::less_equal(block.distances(), mx::array(0)));
  const std::optional<mx::array> scores = position_scores(spec, block);
  if (!scores || !mask) return scores ? scores : mask;
  return mx::where(*mask, *scores, constant(-std::numeric_limits<float>::infinity(), *scores));
}

// A block of queries meets the keys it can see, so that the scores of a window, or of a very long text, are never a
// matrix of all tokens by all tokens.
mx::array MlxOps::attend(const std::vector<mx::array>& qkv, const AttentionSpec& spec,
                         const PaddedLayout::Chunk& chunk) const {
  // Floats of one block of scores. Disentangled terms need some four blocks more.
  const int64_t scores = int64_t{1} << (spec.disentangled ? 24 : 26);
  constexpr int kWindowQueries = 256;
  const mx::array &q = qkv[0], &k = qkv[1], &v = qkv[2];
  const int texts = q.shape(0), heads = q.shape(1), queries = q.shape(2), size = q.shape(3),
            length = k.shape(2);
  const float scale = spec.scale_of(size);
  const auto window = static_cast<int>(spec.window);
  // MLX's own causal mask lets the last query see the last key, as here.
  const bool by_mode = spec.causal && window == 0 && !spec.biased() && !chunk.mask;
  const auto fit = static_cast<int>(std::min<int64_t>(scores / (int64_t{texts} * heads * length), queries));
  const int step = window > 0 ? std::min(kWindowQueries, queries) : std::max(1, fit);
  std::vector<mx::array> blocks;
  for (int i = 0; i < queries; i += step) {
    const int count = std::min(step, queries - i);
    const int first = window > 0 ? std::max(0, i - window) : 0;
    const int ahead = spec.causal ? 0 : window > 0 ? window : length;
    const int last = std::min(length, i + count + ahead);
    const auto rows = [&](const mx::array& x, int from, int to) {
      return mx::slice(x, {0, 0, from, 0}, {texts, x.shape(1), to, size});
    };
    std::vector<mx::array> values{rows(q, i, i + count), rows(k, first, last)};
    values.insert(values.end(), qkv.begin() + 3, qkv.end());
    std::optional<mx::array> mask;
    if (!by_mode) mask = attention_mask(spec, chunk, {i, count, first, last - first, values, scale});
    blocks.push_back(mx::fast::scaled_dot_product_attention(values[0], values[1], rows(v, first, last), scale,
                                                            by_mode ? "causal"
                                                            : mask  ? "array"
                                                                    : "",
                                                            mask));
    if (step < queries) settle(blocks.back());
  }
  return blocks.size() == 1 ? blocks[0] : mx::concatenate(blocks, 2);
}

mx::array MlxOps::attention(const std::vector<mx::array>& qkv, AttentionSpec spec, const Batch&) const {
  const int columns = qkv[0].shape(1), heads = static_cast<int>(spec.heads), size = columns / heads;
  const int kv_heads = heads / static_cast<int>(spec.group());
  const bool one_query = qkv[0].shape(0) != qkv[1].shape(0);  // a text
  const auto query_of = [&](const PaddedLayout::Chunk& chunk) {
    const mx::array own = mx::slice(qkv[0], {chunk.first_text, 0}, {chunk.first_text + chunk.texts, columns});
    return mx::reshape(own, {chunk.texts, heads, 1, size});
  };
  const auto turned = [&](const mx::array& x, LayerNorm HeadNorms::*norm) {
    const mx::array y = spec.norms ? normalized(x, *spec.norms.*norm) : x;
    return spec.rotary ? mx::fast::rope(y, size, false, spec.rotary->base, spec.rotary->scale, 0) : y;
  };
  std::vector<mx::array> tables;
  for (size_t i = 3; i < qkv.size(); ++i)
    tables.push_back(mx::transpose(mx::reshape(qkv[i], {1, qkv[i].shape(0), heads, size}), {0, 2, 1, 3}));
  std::vector<mx::array> results;
  for (const PaddedLayout::Chunk& chunk : layout_.chunks()) {
    const auto split = [&](const mx::array& x, int count) {
      const mx::array padded = PaddedLayout::pad(x, chunk);
      return mx::transpose(mx::reshape(padded, {chunk.texts, chunk.length, count, size}), {0, 2, 1, 3});
    };
    const mx::array queries = one_query ? query_of(chunk) : split(qkv[0], heads);
    std::vector<mx::array> values{turned(queries, &HeadNorms::query),
                                  turned(split(qkv[1], kv_heads), &HeadNorms::key), split(qkv[2], kv_heads)};
    values.insert(values.end(), tables.begin(), tables.end());
    const mx::array heads_out = attend(values, spec, chunk);
    const mx::array merged = mx::reshape(mx::transpose(heads_out, {0, 2, 1, 3}),
                                         {chunk.texts, one_query ? 1 : chunk.length, columns});
    results.push_back(one_query ? mx::reshape(merged, {chunk.texts, columns})
                                : PaddedLayout::unpad(merged, chunk));
    if (layout_.chunks().size() > 1) settle(results.back());
  }
  return results.size() == 1 ? results[0] : mx::concatenate(results, 0);
}

mx::array MlxOps::convolution(const mx::array& x, const Convolution& c, const Batch&) const {
  const mx::array kernel =
      mx::transpose(weights_.at(c.weight).codes, {0, 2, 1});  // MLX: [channels, kernel, in]
  std::vector<mx::array> results;
  for (const PaddedLayout::Chunk& chunk : layout_.chunks()) {
    mx::array padded = PaddedLayout::pad(x, chunk);
    if (chunk.mask)
      padded =
          mx::where(mx::reshape(*chunk.mask, {chunk.texts, chunk.length, 1}), padded, constant(0, padded));
    const mx::array sums =
        mx::conv1d(padded, kernel, 1, static_cast<int>(c.kernel / 2), 1, static_cast<int>(c.groups));
    results.push_back(PaddedLayout::unpad(mx::add(sums, weights_.at(c.bias).codes), chunk));
  }
  return results.size() == 1 ? results[0] : mx::concatenate(results, 0);
}

mx::array MlxOps::normalized(const mx::array& x, const LayerNorm& n) const {
  const mx::array& weight = weights_.at(n.weight).codes;
  if (n.kind == NormKind::rms) return mx::fast::rms_norm(x, weight, n.epsilon);
  if (n.kind == NormKind::affine) return mx::add(mx::multiply(x, weight), weights_.at(n.bias).codes);
  if (n.kind == NormKind::rms_one_plus)
    return mx::fast::rms_norm(x, mx::add(weight, constant(1, weight)), n.epsilon);
  std::optional<mx::array> bias;
  if (n.bias != kNoWeight) bias = weights_.at(n.bias).codes;
  return mx::fast::layer_norm(x, weight, bias, n.epsilon);
}

mx::array MlxOps::layer_norm(const mx::array& x, const LayerNorm& n) const {
  mx::array y = normalized(x, n);
  settle(y);
  return y;
}

mx::array MlxOps::add_layer_norm(const mx::array& a, const mx::array& b, const LayerNorm& n) const {
  return layer_norm(mx::add(a, b), n);
}

mx::array MlxOps::feed_forward(const mx::array& x, const FeedForward& f) const {
  if (!f.gate) return linear(activate(linear(x, f.up), f.activation), f.down);
  return linear(multiply(activate(linear(x, *f.gate), f.activation), linear(x, f.up)), f.down);
}

mx::array MlxOps::activate(const mx::array& x, Activation activation) const {
  const auto c = [&](double value) { return constant(value, x); };
  switch (activation) {
    case Activation::identity:
      return x;
    case Activation::relu:
      return mx::maximum(x, c(0));
    case Activation::gelu_erf: {
      const mx::array phi = mx::add(mx::erf(mx::multiply(x, c(1 / std::numbers::sqrt2))), c(1));
      return mx::multiply(mx::multiply(x, c(0.5)), phi);
    }
    case Activation::gelu_tanh: {
      const mx::array cubed = mx::multiply(mx::multiply(x, x), x);
      const mx::array inner =
          mx::multiply(mx::add(x, mx::multiply(cubed, c(0.044715))), c(std::sqrt(2 / std::numbers::pi)));
      return mx::multiply(mx::multiply(x, c(0.5)), mx::add(mx::tanh(inner), c(1)));
    }
    case Activation::gelu_quick:
      return mx::multiply(x, mx::sigmoid(mx::multiply(x, c(1.702))));
    case Activation::silu:
      return mx::multiply(x, mx::sigmoid(x));
    case Activation::tanh:
      return mx::tanh(x);
    case Activation::sigmoid:
      return mx::sigmoid(x);
  }
  throw Error(ErrorCode::internal, "unknown activation");
}

mx::array MlxOps::take(const mx::array& x, std::span<const int32_t> rows) const {
  return mx::take(x, indices(rows), 0);
}

mx::array MlxOps::pool(const mx::array& x, PoolingKind kind, const Batch& batch) const {
  const mx::array x32 = mx::astype(x, mx::float32);
  if (!batch.parts.empty()) {
    if (kind != PoolingKind::mean)
      throw Error(ErrorCode::internal, "parts of a text have a mean, no other pooling");
    std::vector<int32_t> rows;
    const Batch texts = parts_as_texts(batch, rows);
    return pool(take(x32, rows), kind, texts, PaddedLayout(texts));
  }
  return pool(x32, kind, batch, layout_);
}

mx::array MlxOps::pool(const mx::array& x32, PoolingKind kind, const Batch& batch,
                       const PaddedLayout& layout) const {
  const auto skipped = [&](int64_t b) { return std::min(batch.pool_from[b], batch.length(b)); };
  if (kind == PoolingKind::cls) {
    std::vector<int32_t> rows;
    for (int64_t b = 0; b < batch.texts(); ++b)
      rows.push_back(batch.offsets[b] + (skipped(b) < batch.length(b) ? skipped(b) : 0));
    return take(x32, rows);
  }

  std::vector<mx::array> results;
  for (const PaddedLayout::Chunk& chunk : layout.chunks()) {
    std::vector<float> slots;  // [B, L]; padding has the weight of a skipped token
    for (int b = chunk.first_text; b < chunk.first_text + chunk.texts; ++b) {
      const std::vector<float> weights = token_weights(kind, batch.length(b), skipped(b));
      slots.insert(slots.end(), weights.begin(), weights.end());
      slots.resize(slots.size() + chunk.length - weights.size(), token_weights(kind, 1, 1)[0]);
    }
    const mx::array w(slots.data(), {chunk.texts, chunk.length, 1}, mx::float32);
    const mx::array padded = PaddedLayout::pad(x32, chunk);
    results.push_back(kind == PoolingKind::max ? mx::max(mx::add(padded, w), 1)
                                               : mx::sum(mx::multiply(padded, w), 1));
  }
  return results.size() == 1 ? results[0] : mx::concatenate(results, 0);
}

mx::array MlxOps::columns(const mx::array& x, int64_t first, int64_t count) const {
  return mx::slice(x, {0, static_cast<int>(first)}, {x.shape(0), static_cast<int>(first + count)});
}

mx::array MlxOps::weighted_rows(const mx::array& x, const Embedding& table) const {
  return mx::matmul(x, all_rows(table));
}

// The logits of some terms at a time: those of all terms and tokens would be the largest matrix of a run by far.
mx::array MlxOps::term_weights(const mx::array& x, const Linear& l, TermWeighting weighting,
                               const Batch& batch) const {
  constexpr int64_t kMostLogits = int64_t{1} << 24;
  const auto weights_of = [&](const mx::array& logits) {
    const mx::array positive = mx::maximum(mx::astype(logits, mx::float32), mx::array(0.0f));
    return weighting.twice ? mx::log1p(mx::log1p(positive)) : mx::log1p(positive);
  };
  const int64_t step = std::clamp<int64_t>(kMostLogits / batch.tokens(), 1, l.out);
  std::vector<mx::array> slices;
  for (int64_t first = 0; first < l.out; first += step) {
    Linear part = l;
    part.stored_rows = l.rows(), part.first_row = l.first_row + first,
    part.out = std::min(step, l.out - first);
    const mx::array logits = linear(x, part);
    std::vector<mx::array> texts;
    for (const PaddedLayout::Chunk& chunk : layout_.chunks()) {
      const mx::array padded =
          PaddedLayout::pad(logits, chunk);  // repeats the logits of a text's first token
      if (weighting.pooling == TermPooling::max) {
        texts.push_back(weights_of(mx::max(padded, 1)));
        continue;
      }
      mx::array weights = weights_of(padded);
      if (chunk.mask)
        weights = mx::where(mx::reshape(*chunk.mask, {chunk.texts, chunk.length, 1}), weights,
                            constant(0, weights));
      texts.push_back(mx::sum(weights, 1));
    }
    slices.push_back(texts.size() == 1 ? texts[0] : mx::concatenate(texts, 0));
    settle(slices.back());
  }
  return slices.size() == 1 ? slices[0] : mx::concatenate(slices, 1);
}

mx::array MlxOps::concatenate(const std::vector<mx::array>& xs) const {
  return mx::concatenate(xs, 1);
}

mx::array MlxOps::add(const mx::array& a, const mx::array& b) const {
  return mx::add(a, b);
}

mx::array MlxOps::subtract(const mx::array& a, const mx::array& b) const {
  return mx::subtract(a, b);
}

mx::array MlxOps::multiply(const mx::array& a, const mx::array& b) const {
  return mx::multiply(a, b);
}

mx::array MlxOps::add_bias(const mx::array& x, const RowBias& bias) const {
  return mx::add(x, weights_.at(bias.weight).codes);
}

mx::array MlxOps::normalize(const mx::array& x) const {
  const mx::array x32 = mx::astype(x, mx::float32);
  const mx::array norm = mx::sqrt(mx::sum(mx::square(x32), 1, true));
  return mx::divide(x32, mx::maximum(norm, constant(1e-12, x32)));
}

Matrix MlxOps::to_host(const mx::array& x) const {
  mx::array values = mx::contiguous(mx::astype(x, mx::float32));
  values.eval();
  Matrix matrix{.rows = values.shape(0), .columns = values.shape(1), .values = {}};
  matrix.values.assign(values.data<float>(), values.data<float>() + values.size());
  return matrix;
}

}  // namespace mlxe
