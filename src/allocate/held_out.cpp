#include "allocate/held_out.h"

#include <algorithm>
#include <array>
#include <numeric>

#include "allocate/costs.h"
#include "compare/sequences.h"
#include "metrics/vector_space.h"

namespace mlxe::allocate {
namespace {

constexpr int64_t kBatchTokens = 4096;

Matrix rows_of(const Matrix& all, int64_t first, int64_t count) {
  const auto at = all.values.begin() + first * all.columns;
  return {count, all.columns, {at, at + count * all.columns}};
}

enum class Side { original, converted };

std::vector<Matrix> outputs(const TextRunner& runner, const std::vector<Sequence>& sequences, Side side,
                            Output output) {
  const auto which = static_cast<size_t>(side);
  std::vector<size_t> order(sequences.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, {}, [&](size_t i) { return sequences[i].ids.size(); });
  std::vector<Matrix> result(sequences.size());
  for (size_t next = 0; next < order.size();) {
    RunRequest request{.wanted = {output}};
    const size_t first = next;
    do {
      const Sequence& s = sequences[order[next++]];
      request.batch.append(s.ids, s.type_ids[which], s.pool_from[which]);
    } while (next < order.size() &&
             request.batch.tokens() + static_cast<int64_t>(sequences[order[next]].ids.size()) <=
                 kBatchTokens);
    const RunResult found = runner.run(request);
    for (size_t i = first; i < next; ++i) {
      const auto text = static_cast<int64_t>(i - first);
      if (output == Output::token_logits)
        result[order[i]] = rows_of(found[output], request.batch.offsets[static_cast<size_t>(text)],
                                   request.batch.length(text));
      else
        result[order[i]] = rows_of(found[output], text, 1);
    }
  }
  return result;
}

Pairs pairs_of(Output output) {
  return output == Output::text_logits ? Pairs::together : Pairs::apart;
}

}  // namespace

HeldOutTexts::HeldOutTexts(const TextRunner& original, Output output, const std::vector<TextInput>& texts,
                           int64_t most_tokens, int threads)
    : original_(original), output_(output), texts_(texts), most_tokens_(most_tokens), threads_(threads) {
  const std::vector<Sequence> sequences =
      spread(tokenize_both(original, original, texts_, pairs_of(output_), threads_, {}), most_tokens_);
  original_outputs_ = outputs(original, sequences, Side::original, output_);
  if (output_ != Output::sentence) return;
  MeanCosine between;
  for (const size_t i : different_sequences(sequences)) between.add(original_outputs_[i].values);
  spread_ = 1 - between.value();
}

HeldOut HeldOutTexts::measure(const std::filesystem::path& folder) const {
  const TextRunner converted(
      folder,
      {.engine = EngineKind::cpu, .activations = Activations::float32, .threads = threads_, .warning = {}});
  const std::vector<Sequence> sequences =
      spread(tokenize_both(original_, converted, texts_, pairs_of(output_), threads_, {}), most_tokens_);
  const std::vector<Matrix> found = outputs(converted, sequences, Side::converted, output_);
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
