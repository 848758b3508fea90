// softmax(q k^T / sqrt(head size)) v, per text and head.
//
// The keys of a head become tiles once; then blocks of queries go through scores, softmax and the weighted
// sum of the values while the scores are in cache: 32 queries x 512 keys are 64 KB. Values are used in place,
// their rows being what a tile looks like.
#include <algorithm>
#include <cmath>

#include "engine_cpu/ops.h"

namespace mlxe::cpu {
namespace {

constexpr int64_t kQueries = 32;

}  // namespace

Tensor CpuOps::attention(const std::vector<Tensor>& qkv, AttentionSpec spec, const Batch& batch) {
  const int64_t columns = qkv[0].columns(), size = columns / spec.heads;
  const bool one_query = qkv[0].rows() != qkv[1].rows();  // a text
  Tensor out = workspace_.arena.tensor(qkv[0].rows(), columns);
  add_operand(out);
  // Heads of a unit: those that fill 64 columns, whose operand is then made while they are in cache.
  const int64_t together = out.has_operand() && kInt8Alignment % size == 0 ? kInt8Alignment / size : 1;
  const bool whole_groups = together * size % kInt8Alignment == 0;
  const int64_t units = (spec.heads + together - 1) / together;
  loop(batch.texts() * units, [&](int64_t unit, int slot) {
    const int64_t text = unit / units, first = unit % units * together;
    const int64_t last = std::min(first + together, spec.heads);
    const int64_t row = batch.offsets[static_cast<size_t>(text)], tokens = batch.length(text);
    const int64_t first_query = one_query ? text : row, queries = one_query ? 1 : tokens;
    for (int64_t head = first; head < last; ++head)
      attend(qkv, {first_query, queries, row, tokens, head * size, size}, out, slot);
    if (out.has_operand() && whole_groups)
      make_operand(out.row(first_query) + first * size, out.stride(), out,
                   {first_query, queries, first * size, (last - first) * size});
  });
  if (out.has_operand() && !whole_groups)
    loop_rows(out.rows(), [&](int64_t first, int64_t rows, int) { make_operand(out, first, rows); });
  return out;
}

void CpuOps::attend(const std::vector<Tensor>& qkv, const Head& head, const Tensor& out, int slot) {
  const Tensor &q = qkv[0], &k = qkv[1], &v = qkv[2];
  if (out.has_operand() && bf16_.attend != nullptr && head.size % 32 == 0) {
    const int64_t bytes = bf16_.attend_bytes(head.tokens, head.size);
    const auto at = [&](const Tensor& t, int64_t row) { return t.row(row) + head.first_column; };
    auto* memory = reinterpret_cast<uint8_t*>(scratch(slot, bytes / static_cast<int64_t>(sizeof(float))));
    return bf16_.attend({at(q, head.first_query), at(k, head.first_row), at(v, head.first_row), q.stride(),
                         head.queries, head.tokens, head.size, 1 / std::sqrt(static_cast<float>(head.size)),
                         at(out, head.first_query), out.stride()},
                        memory);
  }
  const int64_t n = head.tokens, panel = kernels_.panel, padded = up_to_multiple(n, panel);
  float* key_tiles = scratch(slot, padded * head.size + kQueries * padded);
  float* scores = key_tiles + padded * head.size;
  const auto at = [&](const Tensor& t, int64_t row) { return t.row(row) + head.first_column; };

  for (int64_t j = 0; j < n; j += panel)
    kernels_.pack(at(k, head.first_row + j), k.stride(), std::min(panel, n - j), head.size,
                  key_tiles + j * head.size);

  const float factor = 1 / std::sqrt(static_cast<float>(head.size));
  for (int64_t i = 0; i < head.queries; i += kQueries) {
    const int64_t queries = std::min(kQueries, head.queries - i);
    const int64_t query = head.first_query + i;
    for (int64_t j = 0; j < n; j += panel)
      kernels_.matmul(at(q, query), q.stride(), queries, key_tiles + j * head.size, panel, head.size,
                      kZeroRow, 0, scores + j, padded, std::min(panel, n - j));
    for (int64_t m = 0; m < queries; ++m) kernels_.softmax(scores + m * padded, factor, n);
    for (int64_t c = 0; c < head.size; c += panel)
      kernels_.matmul(scores, padded, queries, at(v, head.first_row) + c, v.stride(), n, kZeroRow, 0,
                      at(out, query) + c, out.stride(), std::min(panel, head.size - c));
  }
}

}  // namespace mlxe::cpu
