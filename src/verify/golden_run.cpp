#include "verify/golden_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "encoder/embed_settings.h"
#include "encoder/score_function.h"
#include "mlx_encoder/error.h"
#include "mlx_encoder/version.h"

namespace mlxe {
namespace {

// What the values are of, in their order.
std::vector<Output> outputs_of(GoldenOutput output) {
  switch (output) {
    case GoldenOutput::sentence:
      return {Output::sentence};
    case GoldenOutput::logits:
      return {Output::text_logits};
    case GoldenOutput::token_scores:
      return {Output::token_logits};
    case GoldenOutput::span_logits:
      return {Output::span_logits};
    case GoldenOutput::choice_logits:
      return {Output::choice_logits};
    case GoldenOutput::term_weights:
      return {Output::term_weights};
    case GoldenOutput::token_vectors:
      return {Output::token_vectors};
    case GoldenOutput::all_vectors:
      return {Output::sentence, Output::token_vectors, Output::token_weights};
  }
  return {};
}

bool has_all(const Model& model, GoldenOutput output) {
  return std::ranges::all_of(outputs_of(output), [&](Output o) { return model.has(o); });
}

int64_t width_of(const Model& model, const SentenceModules& sentence, Output output) {
  const int64_t columns = model.plan.columns(output);
  if (output == Output::sentence) return vector_form({}, sentence, columns).columns;
  return output == Output::term_weights ? std::min(columns, kGoldenTerms) : columns;
}

// The mean over the tokens of a text, special ones left out: of the softmax of a token classifier, else of the logits.
std::vector<float> token_means(const TextRunner::TextResult& r, Output output) {
  const Matrix& logits = r.result[output];
  const int64_t first = r.batch.offsets[static_cast<size_t>(r.position)];
  std::vector<double> sums(static_cast<size_t>(logits.columns));
  int64_t tokens = 0;
  for (size_t i = 0; i < r.encoding.ids.size(); ++i) {
    if (r.encoding.sequence[i] < 0) continue;
    const auto row = logits.row(first + static_cast<int64_t>(i));
    const std::vector<float> scores =
        output == Output::token_logits ? softmax(row) : std::vector<float>(row.begin(), row.end());
    for (size_t j = 0; j < sums.size(); ++j) sums[j] += scores[j];
    ++tokens;
  }
  std::vector<float> means;
  for (const double sum : sums)
    means.push_back(tokens == 0 ? 0.0f : static_cast<float>(sum / static_cast<double>(tokens)));
  return means;
}

std::vector<float> values_of(const TextRunner& runner, const TextRunner::TextResult& r, Output output) {
  if (entry(output).rows == OutputRows::tokens) return token_means(r, output);
  const auto row = r.result[output].row(r.position);
  const auto width = static_cast<size_t>(width_of(runner.model(), runner.sentence(), output));
  std::vector<float> values(width);
  if (output == Output::sentence) {
    vector_form({}, runner.sentence(), std::ssize(row)).take(row, values);
  } else if (output == Output::term_weights) {
    std::vector<double> sums(width);
    for (size_t term = 0; term < row.size(); ++term) sums[term % width] += row[term];
    std::ranges::transform(sums, values.begin(), [](double sum) { return static_cast<float>(sum); });
  } else {
    std::ranges::copy(row, values.begin());
  }
  return values;
}

Prompt prompt_for(const TextRunner& runner, GoldenOutput output, const GoldenText& text) {
  if (output != GoldenOutput::logits && !is_vector(output)) return {};
  if (text.prompt_name.empty())
    return runner.texts().default_prompt(output == GoldenOutput::logits ? PromptUse::classification
                                                                        : PromptUse::embedding);
  const auto& prompts = runner.sentence().prompts;
  const auto found = prompts.find(text.prompt_name);
  if (found == prompts.end())
    throw Error(ErrorCode::usage, fmt::format("the folder has no prompt \"{}\"", text.prompt_name));
  return runner.texts().prompt(found->second);
}

}  // namespace

GoldenOutput golden_output(const Model& model) {
  for (const GoldenOutput o : {GoldenOutput::logits, GoldenOutput::token_scores, GoldenOutput::span_logits,
                               GoldenOutput::choice_logits})
    if (model.task_logits() == outputs_of(o)[0]) return o;
  for (const GoldenOutput o :
       {GoldenOutput::all_vectors, GoldenOutput::term_weights, GoldenOutput::token_vectors})
    if (has_all(model, o)) return o;
  return GoldenOutput::sentence;
}

std::optional<int64_t> golden_width(const Model& model, const SentenceModules& sentence,
                                    GoldenOutput output) {
  if (!has_all(model, output)) return std::nullopt;
  int64_t width = 0;
  for (const Output o : outputs_of(output)) width += width_of(model, sentence, o);
  return width;
}

std::vector<float> golden_values(const TextRunner& runner, GoldenOutput output, const GoldenText& text) {
  const auto width = golden_width(runner.model(), runner.sentence(), output);
  if (!width) throw Error(ErrorCode::usage, fmt::format("the folder's model gives no {}", name(output)));
  CallReport said;  // that a text is cut to the model's length is no news here
  TextRunner::Job job;
  for (const Output o : outputs_of(output)) job.wanted.add(o);
  job.rules.prompt = prompt_for(runner, output, text);
  job.rules.without_tokens = WithoutTokens::accept;  // such a text has zeros
  job.report = &said;
  std::vector<float> values;
  runner.run(std::span(&text.input, 1), job, [&](const TextRunner::TextResult& r) {
    for (const Output o : outputs_of(output)) {
      const std::vector<float> some = values_of(runner, r, o);
      values.insert(values.end(), some.begin(), some.end());
    }
  });
  values.resize(static_cast<size_t>(*width));
  return values;
}

std::string golden_maker(const EngineInfo& engine) {
  return fmt::format("mlx-encoder {}, {} engine ({}), float32 activations", kVersion, engine.engine,
                     engine.variant.substr(0, engine.variant.find(", ")));
}

}  // namespace mlxe
