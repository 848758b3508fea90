#include "encoder/fill_mask.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <optional>

#include "encoder/score_function.h"
#include "format/json_file.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

// A mask has a row of logits as long as the vocabulary. Batches are made as if each third token were a mask.
constexpr int64_t kMostLogits = int64_t{1} << 25;  // of a batch: 128 MiB (of masks alone: three times that)
constexpr int64_t kFewestTokens = 256;             // of a batch, for any vocabulary

int32_t require_mask(const TextRunner& runner) {
  const std::string folder = runner.checkpoint().folder().string();
  if (!runner.model().has(Output::chosen_logits))
    throw Error(
        ErrorCode::unsupported,
        fmt::format("{}: the model has no head of a masked language model that this version computes; "
                    "use a ...ForMaskedLM checkpoint",
                    folder));
  const std::optional<int32_t> mask = runner.texts().tokenizer().special_ids().mask;
  if (!mask)
    throw Error(
        ErrorCode::unsupported,
        fmt::format("{}: the tokenizer has no mask token; tokenizer_config.json names it \"mask_token\"",
                    folder));
  return *mask;
}

// Ids of the candidates, ascending.
std::vector<int32_t> candidates(const TextRunner& runner, const FillMaskOptions& options) {
  const Tokenizer& tokenizer = runner.texts().tokenizer();
  const auto vocabulary = static_cast<int32_t>(runner.model().vocab_size());
  std::vector<int32_t> ids;
  if (options.targets.empty()) {
    ids.resize(static_cast<size_t>(vocabulary));
    std::iota(ids.begin(), ids.end(), 0);
    return ids;
  }
  for (const std::string& target : options.targets) {
    std::optional<int32_t> id = tokenizer.id(target);
    if (!id) {
      const Encoding pieces = tokenizer.encode(target, EncodeOptions{.add_special_tokens = false});
      if (pieces.ids.empty()) {
        runner.tell(options.report,
                    fmt::format("target {}: has no token, and is left out", printable(target)));
        continue;
      }
      id = pieces.ids[0];
      runner.tell(options.report,
                  fmt::format("target {}: is no token of the vocabulary; its first token {} is taken",
                              printable(target), printable(tokenizer.token(*id))));
    }
    if (*id < vocabulary)
      ids.push_back(*id);
    else
      runner.tell(options.report,
                  fmt::format("target {}: the model has no such token; it is left out", printable(target)));
  }
  if (ids.empty())
    throw Error(ErrorCode::usage, "targets: none has a token of the model, expected at least one");
  std::ranges::sort(ids);
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

// The candidates with the highest scores, the best first; of equal ones the lowest id.
std::vector<int32_t> best(std::vector<int32_t> ids, std::span<const float> scores, int64_t count) {
  const auto middle = ids.begin() + std::min<int64_t>(count, static_cast<int64_t>(ids.size()));
  std::partial_sort(ids.begin(), middle, ids.end(), [&](int32_t a, int32_t b) {
    const float x = scores[static_cast<size_t>(a)], y = scores[static_cast<size_t>(b)];
    return x != y ? x > y : a < b;
  });
  ids.erase(middle, ids.end());
  return ids;
}

// The text's tokens with `id` at `position`. Padding tokens are left out, as in transformers' pipeline.
std::string sequence(const Tokenizer& tokenizer, std::vector<int32_t> ids, int32_t position, int32_t id,
                     SpecialTokens special) {
  ids[static_cast<size_t>(position)] = id;
  if (const auto pad = tokenizer.special_ids().pad) std::erase(ids, *pad);
  return tokenizer.decode(ids, special);
}

}  // namespace

std::string mask_token(const TextRunner& runner) {
  const Tokenizer& tokenizer = runner.texts().tokenizer();
  const std::optional<int32_t> mask = tokenizer.special_ids().mask;
  return mask && runner.model().has(Output::chosen_logits) ? tokenizer.token(*mask) : "";
}

std::vector<std::vector<FilledMask>> fill_masks(const TextRunner& runner, std::span<const std::string> texts,
                                                const FillMaskOptions& options) {
  const int32_t mask = require_mask(runner);
  if (options.top_k < 1)
    throw Error(ErrorCode::usage, fmt::format("top_k: found {}, expected at least 1", options.top_k));
  const std::vector<int32_t> ids = candidates(runner, options);
  const Tokenizer& tokenizer = runner.texts().tokenizer();
  TextRunner::Job job;
  job.wanted = {Output::chosen_logits};
  job.rules.chosen = mask;
  job.batch_tokens =
      std::clamp(3 * kMostLogits / runner.model().vocab_size(), kFewestTokens, job.batch_tokens);
  job.follow(options);
  std::vector<std::vector<FilledMask>> all(texts.size());
  const std::vector<TextInput> inputs(texts.begin(), texts.end());
  runner.run(inputs, job, [&](const TextRunner::TextResult& r) {
    const Matrix& logits = r.result[Output::chosen_logits];
    const std::vector<int32_t>& tokens = r.encoding.ids;
    const int64_t first = r.batch.rows_before(OutputRows::chosen, r.position),
                  past = r.batch.rows_before(OutputRows::chosen, r.position + 1);
    const SpecialTokens special = past - first == 1 ? SpecialTokens::skip : SpecialTokens::keep;
    for (int64_t row = first; row < past; ++row) {
      FilledMask& filled = all[r.text].emplace_back();
      filled.position =
          r.batch.chosen[static_cast<size_t>(row)] - r.batch.offsets[static_cast<size_t>(r.position)];
      const std::vector<float> scores = softmax(logits.row(row));
      for (const int32_t id : best(ids, scores, options.top_k))
        filled.fills.push_back({.score = scores[static_cast<size_t>(id)],
                                .id = id,
                                .token = tokenizer.decode({&id, 1}, SpecialTokens::keep),
                                .sequence = sequence(tokenizer, tokens, filled.position, id, special)});
    }
  });
  return all;
}

}  // namespace mlxe
