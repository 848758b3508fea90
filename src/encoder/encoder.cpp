#include "mlx_encoder/encoder.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>

#include "base/file_errors.h"
#include "base/wording.h"
#include "encoder/embed.h"
#include "encoder/embed_settings.h"
#include "encoder/fill_mask.h"
#include "encoder/ranking.h"
#include "encoder/text_runner.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

const char* name(ProblemType type) {
  switch (type) {
    case ProblemType::single_label:
      return "single_label_classification";
    case ProblemType::multi_label:
      return "multi_label_classification";
    case ProblemType::regression:
      return "regression";
  }
  return "";
}

std::span<const float> row(const Matrix& m, int64_t i) {
  return std::span(m.values).subspan(static_cast<size_t>(i * m.columns), static_cast<size_t>(m.columns));
}

// The index of the label that starts with `word`, case ignored; -1 if there is none.
int64_t label_starting(const std::vector<std::string>& labels, std::string_view word) {
  for (size_t i = 0; i < labels.size(); ++i) {
    std::string label = labels[i].substr(0, word.size());
    std::ranges::transform(label, label.begin(), [](unsigned char c) { return std::tolower(c); });
    if (label == word) return static_cast<int64_t>(i);
  }
  return -1;
}

}  // namespace

struct Encoder::Impl {
  TextRunner runner;
  ModelInfo info;

  Impl(const std::filesystem::path& folder, const EncoderOptions& options) : runner(folder, options) {
    const Model& model = runner.model();
    const SentenceModules& sentence = runner.sentence();
    const EngineInfo engine = runner.engine_info();
    info = {.model_type = model.model_type,
            .layers = model.layers(),
            .hidden_size = model.hidden_size(),
            .vocab_size = model.vocab_size(),
            .max_tokens = runner.texts().max_tokens(),
            .dimension = vector_form({}, sentence, model.plan.columns(Output::sentence)).columns,
            .problem_type = model.has(Output::text_logits) ? name(model.problem_type) : "",
            .score_function = model.has(Output::text_logits) ? mlxe::name(runner.score_function()) : "",
            .labels = model.labels,
            .token_labels = model.token_labels,
            .mask_token = mlxe::mask_token(runner),
            .prompts = sentence.prompts,
            .routes = {},
            .default_prompt = sentence.default_prompt_name.value_or(""),
            .engine = engine.engine,
            .engine_variant = engine.variant,
            .activations = engine.activations};
    for (const SentenceRoute& route : sentence.routes) info.routes.push_back(route.name);
  }

  std::vector<std::vector<float>> logits(std::span<const TextInput> texts, TextRunner::Job job) const {
    if (!runner.model().has(Output::text_logits))
      throw Error(
          ErrorCode::unsupported,
          fmt::format(
              "{}: the model has no classification head (config.json's \"architectures\" names none); "
              "use embed, or a ...ForSequenceClassification checkpoint",
              runner.checkpoint().folder().string()));
    job.wanted = {Output::text_logits};
    std::vector<std::vector<float>> all(texts.size());
    runner.run(texts, job, [&](const TextRunner::TextResult& r) {
      const auto values = row(r.result[Output::text_logits], r.position);
      all[r.text].assign(values.begin(), values.end());
    });
    return all;
  }
};

float cosine(std::span<const float> a, std::span<const float> b) {
  if (a.size() != b.size())
    throw Error(ErrorCode::usage,
                fmt::format("cosine: the vectors have {} and {} values; they must be equally long", a.size(),
                            b.size()));
  double ab = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    ab += static_cast<double>(a[i]) * b[i];
    aa += static_cast<double>(a[i]) * a[i];
    bb += static_cast<double>(b[i]) * b[i];
  }
  return aa == 0 || bb == 0 ? 0.0f : static_cast<float>(ab / std::sqrt(aa * bb));
}

Encoder::Encoder(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Encoder::Encoder(Encoder&&) noexcept = default;
Encoder& Encoder::operator=(Encoder&&) noexcept = default;
Encoder::~Encoder() = default;

Encoder Encoder::load(const std::filesystem::path& folder, const EncoderOptions& options) {
  return with_file_errors([&] { return Encoder(std::make_unique<Impl>(folder, options)); });
}

const ModelInfo& Encoder::info() const noexcept {
  return impl_->info;
}

int64_t Encoder::dimension(const EmbedOptions& options) const {
  return vector_dimension(impl_->runner, options);
}

Vectors Encoder::embed(std::span<const std::string> texts, const EmbedOptions& options) const {
  return embed_texts(impl_->runner, texts, options);
}

ChunkVectors Encoder::embed_chunks(std::span<const std::string> texts, const ChunkOptions& chunking,
                                   const EmbedOptions& options) const {
  return mlxe::embed_chunks(impl_->runner, texts, chunking, options);
}

std::vector<Prediction> Encoder::classify(std::span<const TextInput> texts,
                                          const ClassifyOptions& options) const {
  TextRunner::Job job;
  job.rules.prompt = impl_->runner.texts().default_prompt(PromptUse::classification);
  job.first_text = options.first_text;
  job.progress = options.progress;
  job.report = options.report;
  std::vector<Prediction> predictions;
  for (std::vector<float>& logits : impl_->logits(texts, std::move(job))) {
    Prediction p{.best = std::ranges::max_element(logits) - logits.begin(),
                 .scores = scores_of(logits, impl_->runner.score_function()),
                 .logits = {}};
    p.logits = std::move(logits);
    predictions.push_back(std::move(p));
  }
  return predictions;
}

std::vector<float> Encoder::relevance(std::span<const TextInput> pairs, const RerankOptions& options) const {
  const std::vector<std::string>& labels = impl_->info.labels;
  if (labels.size() > 1)
    throw Error(
        ErrorCode::unsupported,
        fmt::format("{}: the classification head has {} labels ({}); a reranker has one; use classify",
                    impl_->runner.checkpoint().folder().string(), labels.size(), listed(labels, 4)));
  TextRunner::Job job;
  job.rules.prompt = impl_->runner.texts().default_prompt(PromptUse::classification);
  job.first_text = options.first_text;
  job.progress = options.progress;
  job.report = options.report;
  const ScoreFunction function = options.raw ? ScoreFunction::identity : impl_->runner.relevance_function();
  std::vector<float> scores;
  for (const std::vector<float>& logits : impl_->logits(pairs, std::move(job)))
    scores.push_back(scores_of(logits, function)[0]);
  return scores;
}

std::vector<RankedDocument> Encoder::rerank(const std::string& query, std::span<const std::string> documents,
                                            const RerankOptions& options) const {
  std::vector<TextInput> pairs;
  for (const std::string& document : documents) pairs.push_back({query, document});
  const std::vector<float> scores = relevance(pairs, options);
  std::vector<RankedDocument> ranked;
  for (size_t i = 0; i < scores.size(); ++i) ranked.push_back({i, scores[i]});
  keep_best(ranked, options.top_k);
  return ranked;
}

std::vector<std::vector<float>> Encoder::zero_shot(std::span<const std::string> texts,
                                                   std::span<const std::string> labels,
                                                   const ZeroShotOptions& options) const {
  if (labels.empty()) throw Error(ErrorCode::usage, "zero-shot: no labels were given; give at least one");
  const size_t hole = options.hypothesis_template.find("{}");
  if (hole == std::string::npos)
    throw Error(ErrorCode::usage,
                fmt::format("zero-shot: the template \"{}\" has no {{}}; write {{}} where the label belongs, "
                            "as in \"This example is {{}}.\"",
                            options.hypothesis_template));
  const std::vector<std::string>& names = impl_->info.labels;
  const int64_t entailment = label_starting(names, "entail");
  if (!names.empty() && (entailment < 0 || names.size() < 2))
    throw Error(
        ErrorCode::unsupported,
        fmt::format("zero-shot: the model's labels are {}; it needs an NLI head with an \"entailment\" label",
                    fmt::join(names, ", ")));
  // Without a label "contradiction", transformers' pipeline takes the first label, or the last if the first
  // is "entailment".
  int64_t contradiction = label_starting(names, "contradict");
  if (contradiction < 0) contradiction = entailment == 0 ? static_cast<int64_t>(names.size()) - 1 : 0;

  std::vector<TextInput> pairs;
  for (const std::string& text : texts)
    for (const std::string& label : labels)
      pairs.push_back({text, std::string(options.hypothesis_template).replace(hole, 2, label)});
  TextRunner::Job job;
  job.first_text = options.first_text;
  job.runs_each = labels.size();
  job.progress = options.progress;
  job.report = options.report;
  // Only the text is truncated, never the hypothesis, as in transformers' pipeline.
  job.rules.truncation = Truncation::only_first;
  const auto logits = impl_->logits(pairs, std::move(job));

  std::vector<std::vector<float>> scores(texts.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    const auto of_text = std::span(logits).subspan(i * labels.size(), labels.size());
    std::vector<float> entailing;
    for (const auto& l : of_text) entailing.push_back(l[entailment]);
    if (!options.multi_label && labels.size() > 1) {
      scores[i] = softmax(entailing);
      continue;
    }
    for (const auto& l : of_text)
      scores[i].push_back(softmax(std::array{l[contradiction], l[entailment]})[1]);
  }
  return scores;
}

std::vector<std::vector<TokenScores>> Encoder::score_tokens(std::span<const std::string> texts,
                                                            const ClassifyOptions& options) const {
  const TextRunner& runner = impl_->runner;
  if (!runner.model().has(Output::token_logits))
    throw Error(
        ErrorCode::unsupported,
        fmt::format("{}: the model has no token classification head (config.json's \"architectures\" names "
                    "none); use a ...ForTokenClassification checkpoint",
                    runner.checkpoint().folder().string()));
  TextRunner::Job job;
  job.wanted = {Output::token_logits};
  job.rules.without_tokens = WithoutTokens::accept;
  job.first_text = options.first_text;
  job.progress = options.progress;
  job.report = options.report;
  const std::vector<TextInput> inputs(texts.begin(), texts.end());
  std::vector<std::vector<TokenScores>> all(texts.size());
  runner.run(inputs, job, [&](const TextRunner::TextResult& r) {
    const Encoding& e = r.encoding;
    for (size_t i = 0; i < e.ids.size(); ++i) {
      if (e.sequence[i] < 0) continue;
      const auto logits = row(r.result[Output::token_logits],
                              r.batch.offsets[static_cast<size_t>(r.position)] + static_cast<int64_t>(i));
      all[r.text].push_back(
          {.begin = e.code_point_offsets[i].first,
           .end = e.code_point_offsets[i].second,
           .continues_word = i > 0 && e.word_ids[i] >= 0 && e.word_ids[i] == e.word_ids[i - 1],
           .scores = softmax(logits)});
    }
  });
  return all;
}

std::vector<std::vector<FilledMask>> Encoder::fill_mask(std::span<const std::string> texts,
                                                        const FillMaskOptions& options) const {
  return fill_masks(impl_->runner, texts, options);
}

Tokens Encoder::tokenize(const TextInput& text) const {
  const TextTokenizer& texts = impl_->runner.texts();
  const Encoding e = texts.encode(view_of(text), {.without_tokens = WithoutTokens::accept});
  Tokens tokens{.ids = e.ids,
                .type_ids = e.type_ids,
                .tokens = {},
                .offsets = e.code_point_offsets,
                .sequence = e.sequence,
                .dropped = e.dropped_tokens,
                .dropped_more = e.dropped_more};
  for (int32_t id : e.ids) tokens.tokens.push_back(texts.tokenizer().token(id));
  return tokens;
}

}  // namespace mlxe
