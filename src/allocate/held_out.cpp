#include "allocate/held_out.h"

#include "allocate/costs.h"
#include "encoder/text_batches.h"
#include "metrics/vector_space.h"

namespace mlxe::allocate {
namespace {

Matrix rows_of(const Matrix& all, int64_t first, int64_t count) {
  const auto at = all.values.begin() + first * all.columns;
  return {count, all.columns, {at, at + count * all.columns}};
}

std::vector<Matrix> outputs(const TextRunner& runner, const std::vector<Sequence>& sequences, Side side,
                            Output output) {
  std::vector<Matrix> result(sequences.size());
  for (const TextBatch& batch : batches_by_length(lengths_of(sequences), kResultBatches.tokens)) {
    RunRequest request{.wanted = {output}};
    for (const size_t i : batch) append(request, sequences[i], side);
    const RunResult found = runner.run(request);
    for (size_t i = 0; i < batch.size(); ++i) {
      const auto text = static_cast<int64_t>(i);
      if (entry(output).rows == OutputRows::tokens)
        result[batch[i]] = rows_of(found[output], request.batch.offsets[i], request.batch.length(text));
      else
        result[batch[i]] = rows_of(found[output], text, 1);
    }
  }
  return result;
}

}  // namespace

HeldOutTexts::HeldOutTexts(const TextRunner& original, Output output, NumberedTexts texts,
                           int64_t most_tokens)
    : original_(original), output_(output), texts_(std::move(texts)), most_tokens_(most_tokens) {
  const std::vector<Sequence> sequences = sequences_with(original);
  original_outputs_ = outputs(original, sequences, Side::original, output_);
  if (output_ != Output::sentence) return;
  MeanCosine between;
  for (const size_t i : different_sequences(sequences)) between.add(original_outputs_[i].values);
  spread_ = 1 - between.value();
}

std::vector<Sequence> HeldOutTexts::sequences_with(const TextRunner& other) const {
  return spread(tokenize_both(original_, other, texts_.texts, pairs_of(output_), {}, texts_.numbers),
                most_tokens_);
}

HeldOut HeldOutTexts::measure(const std::filesystem::path& folder) const {
  const TextRunner converted(folder,
                             {.engine = EngineKind::cpu, .activations = Activations::float32, .warning = {}},
                             original_.pool());
  const std::vector<Sequence> sequences = sequences_with(converted);
  const std::vector<Matrix> found = outputs(converted, sequences, Side::quantized, output_);
  const ProblemType problem = original_.model().problem_type;
  CostMeter meter(output_, problem);
  for (size_t i = 0; i < found.size(); ++i) meter.add(original_outputs_[i], found[i]);
  const OutputCost cost = meter.result();
  return {.metric = cost_name(output_, problem),
          .cost = cost.cost,
          .relative_error = spread_ > 0 ? cost.cost / spread_ : 0,
          .flips = cost.flips,
          .labels = has_labels(output_, problem),
          .rows = cost.rows};
}

}  // namespace mlxe::allocate
