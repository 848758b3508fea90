#include "encoder/late.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <utility>

#include "format/json_file.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

const LateInteraction& require_late(const TextRunner& runner) {
  if (is_late(runner)) return *runner.sentence().late;
  throw Error(
      ErrorCode::unsupported,
      fmt::format(
          "{}: is no late interaction model (ColBERT) that this version computes: it has neither PyLate's "
          "config_sentence_transformers.json and Dense module, nor the class HF_ColBERT with linear.weight, "
          "nor bge-m3's colbert_linear.pt",
          runner.checkpoint().folder().string()));
}

// As convert_tokens_to_ids: an unknown word is the unknown token.
std::optional<int32_t> id_of(const Tokenizer& tokenizer, const std::string& word) {
  const std::optional<int32_t> id = tokenizer.id(word);
  return id ? id : tokenizer.special_ids().unk;
}

std::optional<int32_t> mark(const TextRunner& runner, const std::string& prefix) {
  if (prefix.empty()) return std::nullopt;
  const std::optional<int32_t> id = runner.texts().tokenizer().id(prefix);
  if (!id || *id >= runner.model().vocab_size())
    throw Error(ErrorCode::format,
                fmt::format("{}: the mark {} of queries or documents is no token of the model, expected one",
                            runner.checkpoint().folder().string(), printable(prefix)));
  return id;
}

// What a query is made longer with: as in PyLate, the mask token, else the end of a text, else padding.
int32_t expansion_token(const TextRunner& runner) {
  const SpecialIds& ids = runner.texts().tokenizer().special_ids();
  for (const auto& id : {ids.mask, ids.eos, ids.pad})
    if (id) return *id;
  throw Error(ErrorCode::unsupported,
              fmt::format("{}: the tokenizer has no mask token to make queries longer with",
                          runner.checkpoint().folder().string()));
}

TextRunner::Job late_job(const TextRunner& runner, EmbedTask task) {
  const LateInteraction& late = require_late(runner);
  const bool is_query = task == EmbedTask::query;
  TextRunner::Job job;
  job.wanted = {Output::token_vectors};
  job.rules.prompt.text = default_prompt(runner.sentence(), PromptUse::embedding);
  const int64_t length = is_query ? late.query_length : late.document_length;
  if (length == 0) return job;
  LateTokens tokens{.length = length,
                    .mark = mark(runner, is_query ? late.query_prefix : late.document_prefix),
                    .expansion = {}};
  if (tokens.length < kShortestOfLate)
    throw Error(ErrorCode::format,
                fmt::format("{}: the length of {} is {} tokens, expected at least {}",
                            runner.checkpoint().folder().string(), is_query ? "queries" : "documents",
                            tokens.length, kShortestOfLate));
  if (is_query && late.expands_queries) tokens.expansion = expansion_token(runner);
  job.rules.late = tokens;
  job.reads_expansion = late.attends_to_expansion;
  return job;
}

// Mask tokens that attention does not read still have a vector, so it has to reach the tokens that it reads from there.
// Checked before the run: it has no result for a token without anything to read.
void require_reach(const TextRunner& runner, std::span<const TextInput> texts, const TextRunner::Job& job) {
  if (job.reads_expansion || !job.rules.late || !job.rules.late->expansion) return;
  bool disentangled = false;
  int64_t narrowest = std::numeric_limits<int64_t>::max();
  for (const PlanOp& op : runner.model().plan.whole.ops) {
    if (op.kind != OpKind::attention) continue;
    disentangled |= op.attention.disentangled.has_value();
    if (op.attention.window > 0) narrowest = std::min<int64_t>(narrowest, op.attention.window);
  }
  if (!disentangled && narrowest == std::numeric_limits<int64_t>::max()) return;
  for (size_t i = 0; i < texts.size(); ++i) {
    const int32_t added = runner.texts().encode(view_of(texts[i]), job.rules).expansion;
    if (added > 0 && (disentangled || added > narrowest))
      throw Error(
          ErrorCode::unsupported,
          fmt::format(
              "text {}: {} mask tokens that attention does not read make the query longer, which is not "
              "implemented for {}",
              job.first_text + i + 1, added,
              disentangled ? "DeBERTa" : fmt::format("attention to {} tokens on either side", narrowest)));
  }
}

// Calls take(text, tokens) for each text, as TextRunner::run does.
using TakeTokens = std::function<void(size_t text, TextTokens tokens)>;
void run_late(const TextRunner& runner, std::span<const TextInput> texts, const TextRunner::Job& job,
              EmbedTask task, const TakeTokens& take) {
  require_reach(runner, texts, job);
  const TokenReader reader(runner, task);
  runner.run(texts, job, [&](const TextRunner::TextResult& r) { take(r.text, reader.read(r)); });
}

// The sum, over the rows of `query`, of the largest product with a row of `document`.
double max_sim(std::span<const float> query, std::span<const float> document, size_t columns) {
  double sum = 0;
  if (document.empty()) return 0;
  for (size_t q = 0; q < query.size(); q += columns) {
    double best = -std::numeric_limits<double>::infinity();
    for (size_t d = 0; d < document.size(); d += columns) {
      double product = 0;
      for (size_t c = 0; c < columns; ++c) product += static_cast<double>(query[q + c]) * document[d + c];
      best = std::max(best, product);
    }
    sum += best;
  }
  return sum;
}

}  // namespace

TokenReader::TokenReader(const TextRunner& runner, EmbedTask task)
    : first_(require_late(runner).skips_first ? 1 : 0) {
  if (task == EmbedTask::query) return;
  for (const std::string& word : runner.sentence().late->skipped_words)
    if (const auto id = id_of(runner.texts().tokenizer(), word)) skipped_.insert(*id);
}

TextTokens TokenReader::read(const TextRunner::TextResult& r) const {
  const Matrix& all = r.result[Output::token_vectors];
  const int64_t first = r.batch.rows_before(OutputRows::tokens, r.position);
  TextTokens tokens;
  for (size_t t = first_; t < r.encoding.ids.size(); ++t) {
    const int32_t id = r.encoding.ids[t];
    if (skipped_.contains(id)) continue;
    tokens.ids.push_back(id);
    const auto row = all.row(first + static_cast<int64_t>(t));
    tokens.vectors.insert(tokens.vectors.end(), row.begin(), row.end());
  }
  return tokens;
}

TokenVectors joined(std::vector<TextTokens> texts, int64_t columns) {
  TokenVectors all;
  all.columns = columns;
  for (TextTokens& text : texts) {
    all.ids.insert(all.ids.end(), text.ids.begin(), text.ids.end());
    all.values.insert(all.values.end(), text.vectors.begin(), text.vectors.end());
    all.offsets.push_back(std::ssize(all.ids));
    text = {};
  }
  return all;
}

bool is_late(const TextRunner& runner) {
  return runner.sentence().late && runner.model().has(Output::token_vectors);
}

TokenVectors token_vectors(const TextRunner& runner, std::span<const std::string> texts,
                           const TokenVectorOptions& options) {
  TextRunner::Job job = late_job(runner, options.task);
  job.follow(options);
  std::vector<TextTokens> found(texts.size());
  const std::vector<TextInput> inputs(texts.begin(), texts.end());
  run_late(runner, inputs, job, options.task,
           [&](size_t text, TextTokens tokens) { found[text] = std::move(tokens); });
  return joined(std::move(found), runner.model().plan.columns(Output::token_vectors));
}

std::vector<float> late_relevance(const TextRunner& runner, std::span<const TextInput> pairs,
                                  const RerankOptions& options) {
  std::vector<TextInput> queries, documents;
  std::vector<size_t> query_of;  // of each pair, an index into queries
  std::map<std::string, size_t> place;
  for (const TextInput& pair : pairs) {
    const auto [found, is_new] = place.try_emplace(pair.text, queries.size());
    if (is_new) queries.push_back({pair.text, {}});
    query_of.push_back(found->second);
    documents.push_back({pair.pair.value_or(""), {}});
  }
  if (!options.instruction.empty())
    throw Error(ErrorCode::usage,
                fmt::format("{}: a late interaction model takes no instruction; leave it out",
                            runner.checkpoint().folder().string()));
  if (options.raw)
    throw Error(
        ErrorCode::usage,
        fmt::format("{}: the score of a late interaction model is its MaxSim, raw already; leave it out",
                    runner.checkpoint().folder().string()));
  std::vector<TextTokens> of_queries(queries.size());
  TextRunner::Job job = late_job(runner, EmbedTask::query);
  job.input = "query";
  job.inputs = "queries";
  job.report = options.report;
  run_late(runner, queries, job, EmbedTask::query,
           [&](size_t text, TextTokens tokens) { of_queries[text] = std::move(tokens); });
  job = late_job(runner, EmbedTask::document);
  job.follow(options);
  const auto columns = static_cast<size_t>(runner.model().plan.columns(Output::token_vectors));
  const bool averages = runner.sentence().late->averages;
  std::vector<float> scores(pairs.size());
  run_late(runner, documents, job, EmbedTask::document, [&](size_t text, const TextTokens& document) {
    const TextTokens& query = of_queries[query_of[text]];
    const double sum = max_sim(query.vectors, document.vectors, columns);
    const double tokens = averages && !query.ids.empty() ? static_cast<double>(query.ids.size()) : 1;
    scores[text] = static_cast<float>(sum / tokens);
  });
  return scores;
}

float max_sim(const TokenVectors& queries, int64_t i, const TokenVectors& documents, int64_t j) {
  if (queries.columns != documents.columns)
    throw Error(ErrorCode::usage,
                fmt::format("max_sim: the vectors have {} and {} values; they must be of one model",
                            queries.columns, documents.columns));
  return static_cast<float>(
      max_sim(queries.text(i), documents.text(j), static_cast<size_t>(queries.columns)));
}

}  // namespace mlxe
