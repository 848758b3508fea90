#include "encoder/sparse.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <utility>

#include "encoder/embed_settings.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

// With SPLADE's pooling a text has a row as long as the vocabulary. Batches are made as if no text had fewer than four tokens.
constexpr int64_t kMostWeights = int64_t{1} << 25;  // of a batch: 128 MiB
constexpr int64_t kTokensOfAText = 4;
constexpr int64_t kFewestBatchTokens = 256;

[[noreturn]] void refuse(const TextRunner& runner) {
  const std::string folder = runner.checkpoint().folder().string();
  if (!runner.model().masked_head)
    throw Error(
        ErrorCode::unsupported,
        fmt::format("{}: the model has no head of a masked language model that this version computes, "
                    "of which sparse vectors are made; use a SPLADE checkpoint or bge-m3",
                    folder));
  throw Error(
      ErrorCode::unsupported,
      fmt::format(
          "{}: states no SpladePooling (modules.json), so it may not be made for sparse vectors; if it "
          "is a SPLADE model, give the pooling: max (SPLADE v2 and later) or sum",
          folder));
}

Output sparse_output(const TextRunner& runner) {
  for (const Output o : {Output::term_weights, Output::token_weights})
    if (runner.model().has(o)) return o;
  refuse(runner);
}

}  // namespace

SparseRows::SparseRows(const TextRunner& runner, size_t texts, int64_t top_k)
    : output_(sparse_output(runner)), terms_(runner.model().vocab_size()), top_k_(top_k), rows_(texts) {
  if (top_k < 0)
    throw Error(ErrorCode::usage, fmt::format("top_k: found {}, expected at least 1, or 0 for all", top_k));
  const SpecialIds& ids = runner.texts().tokenizer().special_ids();
  for (const auto& id : {ids.cls, ids.eos, ids.pad, ids.unk})
    if (id) skipped_.insert(*id);
}

// The largest weight of each token that the text has.
SparseRows::Row SparseRows::of_tokens(const TextRunner::TextResult& r) const {
  const int64_t first = r.batch.rows_before(OutputRows::tokens, r.position);
  std::map<int32_t, float> weights;
  for (size_t t = 0; t < r.encoding.ids.size(); ++t) {
    const float weight = r.result[output_].values[static_cast<size_t>(first) + t];
    if (weight <= 0 || skipped_.contains(r.encoding.ids[t])) continue;
    float& largest = weights[r.encoding.ids[t]];
    largest = std::max(largest, weight);
  }
  Row row;
  for (const auto& [id, weight] : weights) row.indices.push_back(id), row.values.push_back(weight);
  return row;
}

void SparseRows::take(const TextRunner::TextResult& r) {
  Row& row = rows_[r.text];
  if (output_ == Output::token_weights) {
    row = of_tokens(r);
  } else {
    const auto weights = r.result[output_].row(r.position);
    for (size_t i = 0; i < weights.size(); ++i)
      if (weights[i] > 0) row.indices.push_back(static_cast<int32_t>(i)), row.values.push_back(weights[i]);
  }
  keep_largest(row);
}

void SparseRows::take(size_t text, const Encoding& encoding, std::span<const float> weights) {
  Row& row = rows_[text];
  const std::set<int32_t> ids(encoding.ids.begin(), encoding.ids.end());
  if (!ids.empty() && *ids.rbegin() >= std::ssize(weights))
    throw Error(ErrorCode::format,
                fmt::format("text {}: the tokenizer gives the token {}, of {} that have weights", text + 1,
                            *ids.rbegin(), weights.size()));
  for (const int32_t id : ids)
    if (const float weight = weights[static_cast<size_t>(id)]; weight > 0)
      row.indices.push_back(id), row.values.push_back(weight);
  keep_largest(row);
}

void SparseRows::keep_largest(Row& row) const {
  if (top_k_ == 0 || std::ssize(row.indices) <= top_k_) return;
  std::vector<size_t> places(row.indices.size());
  std::iota(places.begin(), places.end(), size_t{0});
  std::nth_element(places.begin(), places.begin() + top_k_, places.end(), [&](size_t a, size_t b) {
    return row.values[a] != row.values[b] ? row.values[a] > row.values[b] : a < b;
  });
  places.resize(static_cast<size_t>(top_k_));
  std::ranges::sort(places);
  Row kept;
  for (const size_t i : places) kept.indices.push_back(row.indices[i]), kept.values.push_back(row.values[i]);
  row = std::move(kept);
}

SparseVectors SparseRows::finish() && {
  SparseVectors all;
  all.rows = std::ssize(rows_), all.columns = terms_;
  for (Row& row : rows_) {
    all.indices.insert(all.indices.end(), row.indices.begin(), row.indices.end());
    all.values.insert(all.values.end(), row.values.begin(), row.values.end());
    all.offsets.push_back(std::ssize(all.indices));
    row = {};
  }
  return all;
}

SparseVectors sparse_vectors(const TextRunner& runner, std::span<const std::string> texts,
                             const SparseOptions& options) {
  SparseRows rows(runner, texts.size(), options.top_k);
  TextRunner::Job job;
  job.wanted = {rows.output()};
  EmbedOptions prompt;
  prompt.prompt_name = options.prompt_name, prompt.prompt = options.prompt, prompt.task = options.task;
  // The pooling reads all tokens, also those of a prompt.
  job.rules.prompt.text = prompt_text(prompt, runner.sentence(),
                                      [&](const std::string& note) { runner.tell(options.report, note); });
  if (rows.output() == Output::term_weights)
    job.batch_tokens = std::clamp(kTokensOfAText * kMostWeights / runner.model().vocab_size(),
                                  kFewestBatchTokens, job.batch_tokens);
  job.follow(options);
  const std::vector<TextInput> inputs(texts.begin(), texts.end());
  if (runner.sentence().sparse_route_for(route_task(options.task)) == SparseRoute::fixed) {
    const StaticTerms& terms = *runner.sentence().static_terms;
    job.rules.looked_up = true;
    job.rules.max_tokens = terms.max_length;
    job.rules.without_tokens = WithoutTokens::accept;  // its vector is empty, as sentence-transformers'
    runner.tokenize(inputs, job, [&](size_t text, const Encoding& e) { rows.take(text, e, terms.weights); });
    return std::move(rows).finish();
  }
  runner.run(inputs, job, [&](const TextRunner::TextResult& r) { rows.take(r); });
  return std::move(rows).finish();
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
