#include "models/heads.h"

#include <fmt/format.h>

#include <utility>
#include <vector>

#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

ValueId transformed(PlanBuilder& p, const HeadTransform& t, ValueId x, int64_t width) {
  const ValueId y = p.activation(p.linear(t.dense, x, width, t.bias), t.activation);
  return t.norm ? p.layer_norm(t.norm->name, y, t.norm->epsilon, t.norm->bias) : y;
}

ValueId text_logits(PlanBuilder& p, const SequenceClassifier& head, int64_t labels) {
  const auto of_text = [&](ValueId x) {
    if (head.reads_end) return p.take_end(x);
    if (head.pooling == PoolingKind::last_token) return p.take_last(x);
    return head.pooling == PoolingKind::cls ? p.take_first(x) : p.pool(x, head.pooling);
  };
  const auto logits = [&](ValueId x) {
    const ValueId y = head.transform.dense.empty() ? x : transformed(p, head.transform, x, p.columns(x));
    return p.linear(head.out, y, labels, head.out_bias, Role::classifier);
  };
  return head.pools_logits ? of_text(logits(p.hidden())) : logits(of_text(p.hidden()));
}

ValueId token_logits(PlanBuilder& p, const std::optional<HeadTransform>& transform, const std::string& out,
                     int64_t labels) {
  const ValueId x = transform ? transformed(p, *transform, p.hidden(), p.columns(p.hidden())) : p.hidden();
  return p.linear(out, x, labels, Bias::yes, Role::classifier);
}

ValueId pooled(PlanBuilder& p, const PoolingSpec& spec, ValueId x) {
  if (spec.dimension && *spec.dimension != p.columns(x))
    throw Error(ErrorCode::format,
                fmt::format("pooling: the word embedding dimension is {}, config.json implies {}",
                            *spec.dimension, p.columns(x)));
  std::vector<ValueId> parts;
  for (const PoolingKind kind : spec.kinds) parts.push_back(p.pool(x, kind));
  return parts.size() == 1 ? parts[0] : p.concatenate(parts);
}

ValueId projected(PlanBuilder& p, const DenseSpec& spec, ValueId x) {
  if (spec.in != p.columns(x))
    throw Error(ErrorCode::format, fmt::format("{}: in_features is {}, the module before it gives {} values",
                                               spec.folder, spec.in, p.columns(x)));
  const Activation activation = parse_activation(spec.activation, spec.folder + ": activation_function");
  const std::string folder = spec.folder + "/";
  const ValueId y =
      p.activation(p.linear(folder + "linear", x, spec.out, spec.bias ? Bias::yes : Bias::no), activation);
  if (!spec.use_residual) return y;
  return p.add(folder + "residual", y,
               spec.residual ? p.linear(folder + "residual", x, spec.out, Bias::no) : x);
}

}  // namespace

void add_pooler(PlanBuilder& p, const std::string& dense) {
  const ValueId first = p.take_first(p.hidden());
  p.output(Output::pooled, p.activation(p.linear(dense, first, p.columns(first)), Activation::tanh));
}

void add_classifier(PlanBuilder& p, const SequenceClassifier& head, int64_t labels) {
  p.output(Output::text_logits, text_logits(p, head, labels));
}

void add_multiple_choice(PlanBuilder& p, const SequenceClassifier& head) {
  p.output(Output::choice_logits, text_logits(p, head, 1));
}

void add_answers(PlanBuilder& p, const AnswerTokens& tokens, bool tied) {
  std::vector<int64_t> rows{tokens.yes};
  if (tokens.no) rows.push_back(*tokens.no);
  const ValueId x = p.pool(p.hidden(), PoolingKind::last_token);
  const int words = p.words();
  const std::vector<ValueId> logits = tied ? p.single_rows_of_table(words, x, rows)
                                           : p.single_rows("lm_head", p.table_sizes(words).rows, x, rows);
  p.output(Output::text_logits, tokens.no ? p.subtract("yes over no", logits[0], logits[1]) : logits[0]);
}

void add_masked_language_model(PlanBuilder& p, const MaskedLanguageModel& head) {
  const int words = p.words();
  const Embedding table = p.table_sizes(words);
  ValueId x = p.take_chosen(p.hidden());
  const int64_t width = head.rest.empty() ? table.columns : p.columns(x);
  if (!head.transform.dense.empty()) x = transformed(p, head.transform, x, width);
  const ValueId own = head.rest.empty() ? x : p.columns_of(x, 0, table.columns);
  ValueId logits =
      head.tied ? p.linear_of_table(words, own) : p.linear(head.decoder, own, table.rows, Bias::no);
  if (!head.rest.empty()) {
    const int64_t rows = width - table.columns;
    const int rest = p.table(head.rest, rows, table.rows);
    logits = p.add(head.rest, logits, p.weighted_rows(rest, p.columns_of(x, table.columns, rows)));
  }
  p.output(Output::chosen_logits, head.bias.empty() ? logits : p.add_bias(head.bias, logits));
}

void add_splade(PlanBuilder& p, const MaskedLanguageModel& head, const SpladeSpec& splade) {
  const int words = p.words();
  const Embedding table = p.table_sizes(words);
  if (splade.dimension && *splade.dimension != table.rows)
    throw Error(ErrorCode::format,
                fmt::format("SpladePooling: the embedding dimension is {}, the vocabulary has {}",
                            *splade.dimension, table.rows));
  const ValueId x = transformed(p, head.transform, p.hidden(), table.columns);
  p.output(Output::term_weights,
           p.term_weights(words, head.tied ? "" : head.decoder, head.bias, x, splade.weighting));
}

void add_token_vectors(PlanBuilder& p, const std::string& linear, int64_t columns) {
  p.output(Output::token_vectors, p.normalize(p.linear(linear, p.hidden(), columns, Bias::no)));
}

void add_token_vectors(PlanBuilder& p, std::span<const DenseSpec> modules) {
  p.file(ParameterFile::sentence_module);
  ValueId x = p.hidden();
  for (const DenseSpec& dense : modules) x = projected(p, dense, x);
  p.output(Output::token_vectors, p.normalize(x));
}

void add_m3_heads(PlanBuilder& p, const M3Heads& heads, const std::filesystem::path& folder) {
  p.file(ParameterFile::sentence_module);
  const auto product = [&](const M3Linear& linear) {
    const Shape& shape = linear.weight.shape;
    if (shape[1] != p.columns(p.hidden()))
      throw Error(
          ErrorCode::format,
          fmt::format("{}: weight is {}, expected {} columns as config.json implies; take the file of "
                      "the original model",
                      (folder / (linear.name + ".pt")).string(), to_string(shape), p.columns(p.hidden())));
    return p.linear(linear.name, p.hidden(), shape[0]);
  };
  p.output(Output::token_weights, p.activation(product(heads.sparse), Activation::relu));
  p.output(Output::token_vectors, p.normalize(product(heads.colbert)));
}

void add_token_classifier(PlanBuilder& p, const std::optional<HeadTransform>& transform, int64_t labels) {
  p.output(Output::token_logits, token_logits(p, transform, "classifier", labels));
}

void add_question_answering(PlanBuilder& p, const std::optional<HeadTransform>& transform,
                            const std::string& out) {
  p.output(Output::span_logits, token_logits(p, transform, out, 2));
}

void add_sentence_pipelines(PlanBuilder& p, const SentenceModules& sentence) {
  add_sentence_pipeline(p, sentence.modules);
  for (const auto& [task, output] : {std::pair(RouteTask::query, Output::query_sentence),
                                     std::pair(RouteTask::document, Output::document_sentence)})
    if (const auto route = sentence.own_route(task))
      add_sentence_pipeline(p, sentence.routes[*route].modules, output);
}

void add_sentence_pipeline(PlanBuilder& p, std::span<const SentenceModuleSpec> modules, Output output) {
  p.file(ParameterFile::sentence_module);
  ValueId x = p.hidden();
  for (const SentenceModuleSpec& m : modules) {
    if (const auto* pooling = std::get_if<PoolingSpec>(&m)) {
      p.pools_prompt(pooling->include_prompt);
      x = pooled(p, *pooling, x);
    } else if (const auto* dense = std::get_if<DenseSpec>(&m)) {
      x = projected(p, *dense, x);
    } else {
      x = p.normalize(x);
    }
  }
  p.output(output, x);
}

}  // namespace mlxe
