#include "encoder/text_batches.h"

#include <algorithm>
#include <numeric>

namespace mlxe {
namespace {

std::vector<size_t> all_texts(std::span<const size_t> lengths) {
  std::vector<size_t> order(lengths.size());
  std::iota(order.begin(), order.end(), size_t{0});
  return order;
}

std::vector<TextBatch> cut_texts(std::span<const size_t> order, std::span<const size_t> lengths,
                                 int64_t tokens) {
  std::vector<TextBatch> batches;
  int64_t held = 0;  // tokens of the last batch
  for (const size_t text : order) {
    const auto length = static_cast<int64_t>(lengths[text]);
    if (length == 0) continue;
    if (batches.empty() || held + length > tokens) {
      batches.emplace_back();
      held = 0;
    }
    batches.back().push_back(text);
    held += length;
  }
  return batches;
}

}  // namespace

std::vector<size_t> by_length(std::span<const size_t> lengths) {
  std::vector<size_t> order = all_texts(lengths);
  std::ranges::stable_sort(order, {}, [&](size_t text) { return lengths[text]; });
  return order;
}

std::vector<TextBatch> batches_in_order(std::span<const size_t> lengths, int64_t tokens) {
  return cut_texts(all_texts(lengths), lengths, tokens);
}

std::vector<TextBatch> batches_by_length(std::span<const size_t> lengths, int64_t tokens) {
  return cut_texts(by_length(lengths), lengths, tokens);
}

}  // namespace mlxe
