#include "encoder/sparse.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "encoder/embed_settings.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

// A text has a row as long as the vocabulary. Batches are made as if no text had fewer than four tokens.
constexpr int64_t kMostWeights = int64_t{1} << 25;  // of a batch: 128 MiB
constexpr int64_t kTokensOfAText = 4;
constexpr int64_t kFewestBatchTokens = 256;

void require_splade(const TextRunner& runner) {
  if (runner.model().has(Output::term_weights)) return;
  const std::string folder = runner.checkpoint().folder().string();
  if (!runner.model().masked_head)
    throw Error(
        ErrorCode::unsupported,
        fmt::format("{}: the model has no head of a masked language model that this version computes, "
                    "of which sparse vectors are made; use a SPLADE checkpoint",
                    folder));
  throw Error(
      ErrorCode::unsupported,
      fmt::format(
          "{}: states no SpladePooling (modules.json), so it may not be made for sparse vectors; if it "
          "is a SPLADE model, give the pooling: max (SPLADE v2 and later) or sum",
          folder));
}

// The weights of one text.
struct SparseRow {
  std::vector<int32_t> indices;
  std::vector<float> values;
};

// The weights above 0, the `most` largest of them.
SparseRow sparse_row(std::span<const float> weights, int64_t most) {
  std::vector<int32_t> ids;
  for (size_t i = 0; i < weights.size(); ++i)
    if (weights[i] > 0) ids.push_back(static_cast<int32_t>(i));
  const auto weight = [&](int32_t id) { return weights[static_cast<size_t>(id)]; };
  if (most > 0 && std::ssize(ids) > most) {
    std::nth_element(ids.begin(), ids.begin() + most, ids.end(), [&](int32_t a, int32_t b) {
      return weight(a) != weight(b) ? weight(a) > weight(b) : a < b;
    });
    ids.resize(static_cast<size_t>(most));
    std::ranges::sort(ids);
  }
  SparseRow row{.indices = std::move(ids), .values = {}};
  for (const int32_t id : row.indices) row.values.push_back(weight(id));
  return row;
}

}  // namespace

SparseVectors sparse_vectors(const TextRunner& runner, std::span<const std::string> texts,
                             const SparseOptions& options) {
  require_splade(runner);
  if (options.top_k < 0)
    throw Error(ErrorCode::usage,
                fmt::format("top_k: found {}, expected at least 1, or 0 for all", options.top_k));
  const int64_t terms = runner.model().plan.columns(Output::term_weights);
  TextRunner::Job job;
  job.wanted = {Output::term_weights};
  EmbedOptions prompt;
  prompt.prompt_name = options.prompt_name, prompt.prompt = options.prompt, prompt.task = options.task;
  // The pooling reads all tokens, also those of a prompt.
  job.rules.prompt.text = prompt_text(prompt, runner.sentence(),
                                      [&](const std::string& note) { runner.tell(options.report, note); });
  job.batch_tokens = std::clamp(kTokensOfAText * kMostWeights / terms, kFewestBatchTokens, job.batch_tokens);
  job.follow(options);
  std::vector<SparseRow> rows(texts.size());
  const std::vector<TextInput> inputs(texts.begin(), texts.end());
  runner.run(inputs, job, [&](const TextRunner::TextResult& r) {
    rows[r.text] = sparse_row(r.result[Output::term_weights].row(r.position), options.top_k);
  });
  SparseVectors all;
  all.rows = std::ssize(rows), all.columns = terms;
  for (SparseRow& row : rows) {
    all.indices.insert(all.indices.end(), row.indices.begin(), row.indices.end());
    all.values.insert(all.values.end(), row.values.begin(), row.values.end());
    all.offsets.push_back(std::ssize(all.indices));
    row = {};
  }
  return all;
}

float dot(const SparseVectors& a, int64_t i, const SparseVectors& b, int64_t j) {
  if (a.columns != b.columns)
    throw Error(ErrorCode::usage,
                fmt::format("dot: the vectors have {} and {} columns; they must be of one model", a.columns,
                            b.columns));
  const auto ids = a.row_indices(i), others = b.row_indices(j);
  const auto weights = a.row_values(i), theirs = b.row_values(j);
  double sum = 0;
  for (size_t m = 0, n = 0; m < ids.size() && n < others.size();) {
    if (ids[m] == others[n])
      sum += static_cast<double>(weights[m++]) * theirs[n++];
    else if (ids[m] < others[n])
      ++m;
    else
      ++n;
  }
  return static_cast<float>(sum);
}

}  // namespace mlxe
