#include "mlx_encoder/encoder.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>

#include "base/file_errors.h"
#include "base/wording.h"
#include "encoder/embed.h"
#include "encoder/embed_all.h"
#include "encoder/embed_settings.h"
#include "encoder/fill_mask.h"
#include "encoder/late.h"
#include "encoder/multiple_choice.h"
#include "encoder/question_answering.h"
#include "encoder/ranking.h"
#include "encoder/routed_runners.h"
#include "encoder/sparse.h"
#include "encoder/tagging.h"
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
  RoutedRunners routed;
  const TextRunner& runner = routed.main();
  ModelInfo info;

  Impl(const std::filesystem::path& folder, const EncoderOptions& options) : routed(folder, options) {
    const Model& model = runner.model();
    const SentenceModules& sentence = runner.sentence();
    const EngineInfo engine = runner.engine_info();
    info = {.model_type = model.model_type,
            .layers = model.layers(),
            .hidden_size = model.hidden_size(),
            .vocab_size = model.vocab_size(),
            .max_tokens = runner.texts().max_tokens(),
            .dimension = vector_form({}, sentence, model.plan.columns(Output::sentence)).columns,
            .splade_pooling =
                model.has(Output::term_weights) ? mlxe::name(sentence.splade->weighting.pooling) : "",
            .lexical_weights = model.has(Output::token_weights),
            .late_interaction = is_late(runner),
            .tells_queries_apart = is_late(runner) && sentence.late->tells_queries_apart(),
            .problem_type = model.has(Output::text_logits) ? name(model.problem_type) : "",
            .score_function = model.has(Output::text_logits) ? mlxe::name(runner.score_function()) : "",
            .labels = model.labels,
            .token_labels = model.token_labels,
            .mask_token = mlxe::mask_token(runner),
            .answers = model.has(Output::span_logits),
            .chooses = model.has(Output::choice_logits),
            .prompts = sentence.prompts,
            .routes = routed.names(),
            .default_prompt = sentence.default_prompt_name.value_or(""),
            .engine = engine.engine,
            .engine_variant = engine.variant,
            .activations = engine.activations};
  }

  std::vector<std::vector<float>> logits(std::span<const TextInput> texts, TextRunner::Job job) const {
    if (!runner.model().has(Output::text_logits))
      throw Error(
          ErrorCode::unsupported,
          fmt::format(
              "{}: the model has no classification head (config.json's \"architectures\" names none); "
              "use embed, or a ...ForSequenceClassification checkpoint",
              runner.checkpoint().folder().string()));
    if (runner.model().answers)
      for (size_t i = 0; i < texts.size(); ++i)
        if (!texts[i].pair)
          throw Error(
              ErrorCode::usage,
              fmt::format("text {}: found one text, expected a query and a document: the model judges pairs",
                          job.first_text + (job.text_of ? job.text_of(i) : i) + 1));
    job.wanted = {Output::text_logits};
    std::vector<std::vector<float>> all(texts.size());
    runner.run(texts, job, [&](const TextRunner::TextResult& r) {
      const auto values = r.result[Output::text_logits].row(r.position);
      all[r.text].assign(values.begin(), values.end());
    });
    return all;
  }

  // Checks that an instruction reaches the model, and says what is assumed of a reranker.
  void prepare_relevance(const RerankOptions& options) const {
    const std::string folder = runner.checkpoint().folder().string();
    const std::optional<PairTemplate>& pairs = runner.texts().pair_template();
    if (!options.instruction.empty() && !pairs)
      throw Error(
          ErrorCode::usage,
          fmt::format("{}: the model takes no instruction; rerankers that are language models do", folder));
    if (options.first_text > 0) return;  // was said with the first texts
    const std::optional<AnswerTokens>& answers = runner.model().answers;
    if (answers && answers->assumed)
      runner.tell(
          options.report,
          fmt::format("{}: no modules.json says that the model is a reranker; the answers \"yes\" and \"no\" "
                      "are compared, as sentence-transformers does",
                      folder));
    if (pairs && pairs->is_stand_in() && !pairs->needs_instruction())
      runner.tell(options.report, fmt::format("{}: {}; that of Qwen3-Reranker's model card was assumed",
                                              folder, pairs->missing()));
    if (pairs && pairs->needs_instruction() && options.instruction.empty())
      runner.tell(options.report,
                  fmt::format("{}: {}; they are joined as they are (an instruction asks for the template of "
                              "Qwen3-Reranker's model card)",
                              folder, pairs->missing()));
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

std::string Encoder::fingerprint() const {
  return impl_->routed.fingerprint();
}

int64_t Encoder::dimension(const EmbedOptions& options) const {
  return vector_dimension(impl_->routed.of(options.task), impl_->routed.in_route(options));
}

Vectors Encoder::embed(std::span<const std::string> texts, const EmbedOptions& options) const {
  return embed_texts(impl_->routed.of(options.task), texts, impl_->routed.in_route(options));
}

ChunkVectors Encoder::embed_chunks(std::span<const std::string> texts, const ChunkOptions& chunking,
                                   const EmbedOptions& options) const {
  return mlxe::embed_chunks(impl_->routed.of(options.task), texts, chunking, impl_->routed.in_route(options));
}

SparseVectors Encoder::embed_sparse(std::span<const std::string> texts, const SparseOptions& options) const {
  return sparse_vectors(impl_->routed.of(options.task), texts, impl_->routed.in_route(options));
}

TokenVectors Encoder::embed_tokens(std::span<const std::string> texts,
                                   const TokenVectorOptions& options) const {
  return token_vectors(impl_->runner, texts, options);
}

AllVectors Encoder::embed_all(std::span<const std::string> texts, const EmbedOptions& options) const {
  return mlxe::embed_all(impl_->routed.of(options.task), texts, impl_->routed.in_route(options));
}

std::vector<Prediction> Encoder::classify(std::span<const TextInput> texts,
                                          const ClassifyOptions& options) const {
  TextRunner::Job job;
  job.rules.prompt = impl_->runner.texts().default_prompt(PromptUse::classification);
  job.follow(options);
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
  if (is_late(impl_->runner)) return late_relevance(impl_->runner, pairs, options);
  const std::vector<std::string>& labels = impl_->info.labels;
  if (labels.size() > 1)
    throw Error(
        ErrorCode::unsupported,
        fmt::format("{}: the classification head has {} labels ({}); a reranker has one; use classify",
                    impl_->runner.checkpoint().folder().string(), labels.size(), listed(labels, 4)));
  impl_->prepare_relevance(options);
  TextRunner::Job job;
  job.rules.prompt = options.instruction.empty()
                         ? impl_->runner.texts().default_prompt(PromptUse::classification)
                         : Prompt{options.instruction};
  job.follow(options);
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
  job.follow(options);
  job.text_of = [&](size_t pair) { return pair / labels.size(); };
  job.inputs = "pairs with the texts";
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
                                                            const TagOptions& options) const {
  return mlxe::score_tokens(impl_->runner, texts, options);
}

std::vector<std::vector<TokenScores>> Encoder::score_words(
    std::span<const std::vector<std::string>> sentences, const ClassifyOptions& options) const {
  return mlxe::score_words(impl_->runner, sentences, options);
}

std::vector<std::vector<FilledMask>> Encoder::fill_mask(std::span<const std::string> texts,
                                                        const FillMaskOptions& options) const {
  return fill_masks(impl_->runner, texts, options);
}

std::vector<std::vector<Answer>> Encoder::answer(std::span<const Question> questions,
                                                 const AnswerOptions& options) const {
  return answer_questions(impl_->runner, questions, options);
}

std::vector<Prediction> Encoder::choose(std::span<const ChoiceInput> prompts,
                                        const ClassifyOptions& options) const {
  return rate_choices(impl_->runner, prompts, options);
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

std::string Encoder::token(int32_t id) const {
  return impl_->runner.texts().tokenizer().find_token(id).value_or("");
}

}  // namespace mlxe
