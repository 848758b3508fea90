#include "engine_mlx/module/padded_layout.h"

#include <algorithm>
#include <memory>

namespace mlxe {
namespace {

constexpr int kSlots = 8192;

PaddedLayout::Chunk make_chunk(const Batch& batch, int first, int last) {
  PaddedLayout::Chunk chunk{.first_text = first,
                            .texts = last - first,
                            .first_token = batch.offsets[first],
                            .tokens = batch.offsets[last] - batch.offsets[first],
                            .length = 0,
                            .rows = {},
                            .slots = {},
                            .mask = {}};
  for (int b = first; b < last; ++b) chunk.length = std::max(chunk.length, batch.length(b));
  const bool padded = chunk.texts * chunk.length != chunk.tokens;
  bool masked = padded;
  for (int b = first; b < last; ++b) masked |= batch.key_count(b) < batch.length(b);
  if (!masked) return chunk;

  std::vector<int32_t> rows, slots;
  const auto mask = std::make_unique<bool[]>(static_cast<size_t>(chunk.texts) * chunk.length);
  for (int b = first; b < last; ++b) {
    for (int i = 0; i < chunk.length; ++i) {
      const bool token = i < batch.length(b);
      mask[rows.size()] = i < batch.key_count(b);
      if (token) slots.push_back(static_cast<int32_t>(rows.size()));
      rows.push_back(batch.offsets[b] - chunk.first_token + (token ? i : 0));
    }
  }
  if (padded) {
    chunk.rows = mx::array(rows.data(), {static_cast<int>(rows.size())}, mx::int32);
    chunk.slots = mx::array(slots.data(), {chunk.tokens}, mx::int32);
  }
  chunk.mask = mx::array(mask.get(), {chunk.texts, 1, 1, chunk.length}, mx::bool_);
  return chunk;
}

}  // namespace

PaddedLayout::PaddedLayout(const Batch& batch) {
  const int texts = static_cast<int>(batch.texts());
  for (int first = 0; first < texts;) {
    int last = first + 1, longest = batch.length(first);
    while (last < texts && (last + 1 - first) * std::max(longest, batch.length(last)) <= kSlots)
      longest = std::max(longest, batch.length(last++));
    chunks_.push_back(make_chunk(batch, first, last));
    first = last;
  }
}

mx::array PaddedLayout::pad(const mx::array& x, const Chunk& chunk) {
  const int columns = x.shape(1), end = chunk.first_token + chunk.tokens;
  mx::array own = mx::slice(x, {chunk.first_token, 0}, {end, columns});
  if (chunk.rows) own = mx::take(own, *chunk.rows, 0);
  return mx::reshape(own, {chunk.texts, chunk.length, columns});
}

mx::array PaddedLayout::unpad(const mx::array& x, const Chunk& chunk) {
  const mx::array flat = mx::reshape(x, {chunk.texts * chunk.length, x.shape(2)});
  return chunk.slots ? mx::take(flat, *chunk.slots, 0) : flat;
}

}  // namespace mlxe
