#include "encoder/embed_all.h"

#include <fmt/format.h>

#include <utility>
#include <vector>

#include "encoder/embed_settings.h"
#include "encoder/late.h"
#include "encoder/sparse.h"
#include "mlx_encoder/error.h"

namespace mlxe {

AllVectors embed_all(const TextRunner& runner, std::span<const std::string> texts,
                     const EmbedOptions& options) {
  if (!runner.sentence().m3)
    throw Error(
        ErrorCode::unsupported,
        fmt::format("{}: has no sparse_linear.pt and colbert_linear.pt, with which one run gives vectors "
                    "of texts, of terms and of tokens; use bge-m3",
                    runner.checkpoint().folder().string()));
  const SentenceModules& sentence = runner.sentence();
  const Output dense_output = sentence_output(options.task, sentence);
  const VectorForm form = vector_form(options, sentence, sentence.modules_for(route_task(options.task)),
                                      runner.model().plan.columns(dense_output));
  SparseRows sparse(runner, texts.size(), 0);
  const TokenReader reader(runner, EmbedTask::document);
  std::vector<TextTokens> tokens(texts.size());
  AllVectors all;
  all.dense = {std::ssize(texts), form.columns, {}};
  all.dense.values.resize(texts.size() * static_cast<size_t>(form.columns));

  TextRunner::Job job;
  job.wanted = {dense_output, sparse.output(), Output::token_vectors};
  job.rules.prompt = runner.texts().prompt(
      prompt_text(options, sentence, [&](const std::string& note) { runner.tell(options.report, note); }));
  job.follow(options);
  const std::vector<TextInput> inputs(texts.begin(), texts.end());
  runner.run(inputs, job, [&](const TextRunner::TextResult& r) {
    const auto columns = static_cast<size_t>(form.columns);
    form.take(r.result[dense_output].row(r.row()),
              std::span(all.dense.values).subspan(r.text * columns, columns));
    sparse.take(r);
    tokens[r.text] = reader.read(r);
  });
  all.sparse = std::move(sparse).finish();
  all.tokens = joined(std::move(tokens), runner.model().plan.columns(Output::token_vectors));
  return all;
}

}  // namespace mlxe
