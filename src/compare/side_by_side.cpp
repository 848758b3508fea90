#include "compare/side_by_side.h"

#include <fmt/format.h>

#include <algorithm>

#include "encoder/text_batches.h"
#include "mlx_encoder/error.h"

namespace mlxe {

std::string layer_name(size_t index) {
  return index == 0 ? "embeddings" : fmt::format("layer {}", index);
}

SideBySide::SideBySide(const Sides& sides, const OutputTask& task, std::span<const Sequence> sequences)
    : sides_(sides), sequences_(sequences), text_cosines_(sequences.size()) {
  if (task.tokens == 0) throw Error(ErrorCode::usage, "the texts hold no tokens; give some text");
  for (int64_t i = 0; i <= sides.original().model().layers(); ++i)
    layers_.emplace_back(task.tokens, task.hidden_size);
  exact_.emplace(task);
  if (sides.fast() != nullptr) fast_.emplace(task);
}

void SideBySide::run(const Progress& progress) {
  for (size_t begin = 0, end; begin < sequences_.size(); begin = end) {
    end = std::min(begin + kLayerBatches.window, sequences_.size());
    if (end < sequences_.size() && sequences_[end].part == 1) ++end;  // a pair stays in one window
    run_window(begin, end);
    if (progress) progress("texts", end, sequences_.size());
  }
}

void SideBySide::run_window(size_t begin, size_t end) {
  const std::span<const Sequence> window = sequences_.subspan(begin, end - begin);
  for (auto* meter : {&exact_, &fast_})
    if (*meter) (*meter)->begin_window(begin, window.size());
  for (const TextBatch& batch : batches_by_length(lengths_of(window), kLayerBatches.tokens)) {
    std::array<RunRequest, 2> requests = sides_.requests();
    for (const size_t i : batch) {
      append(requests[0], window[i], Side::original);
      append(requests[1], window[i], Side::quantized);
    }
    const RunResult original = sides_.original().run(requests[0]),
                    quantized = sides_.quantized().run(requests[1]);
    RunResult fast;
    if (fast_) {
      requests[1].wanted.remove(Output::layers);
      requests[1].wanted.add(Output::hidden);
      fast = sides_.fast()->run(requests[1]);
    }
    for (size_t i = 0; i < batch.size(); ++i)
      take(begin + batch[i], original, quantized, fast, requests[0].batch, static_cast<int64_t>(i));
  }
  for (auto* meter : {&exact_, &fast_})
    if (*meter) (*meter)->end_window(sequences_);
}

// Measures text `position` of the batch all sides just ran.
void SideBySide::take(size_t index, const RunResult& original, const RunResult& quantized,
                      const RunResult& fast, const Batch& batch, int64_t position) {
  const Sequence& s = sequences_[index];
  const int64_t first = batch.offsets[position], length = batch.length(position);
  for (size_t i = 0; i < layers_.size(); ++i)
    layers_[i].add(rows_of(original.layers[i], first, length), rows_of(quantized.layers[i], first, length),
                   s.text);
  const auto output = [&](const RunResult& r) { return sides_.output_of(r, batch, position); };
  const auto hidden = rows_of(original.layers.back(), first, length);
  text_cosines_[index] = exact_->add(index, s, {hidden, rows_of(quantized.layers.back(), first, length)},
                                     {output(original), output(quantized)});
  if (fast_)
    fast_->add(index, s, {hidden, rows_of(fast[Output::hidden], first, length)},
               {output(original), output(fast)});
}

std::vector<NamedDifference> SideBySide::layers() const {
  std::vector<NamedDifference> all;
  for (size_t i = 0; i < layers_.size(); ++i) all.push_back({layer_name(i), layers_[i].result()});
  return all;
}

}  // namespace mlxe
