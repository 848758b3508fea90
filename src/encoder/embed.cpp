#include "encoder/embed.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <utility>
#include <vector>

#include "base/utf8.h"
#include "encoder/chunks.h"
#include "encoder/embed_settings.h"
#include "encoder/late_chunks.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

VectorForm form_of(const TextRunner& runner, const EmbedOptions& options) {
  const SentenceModules& sentence = runner.sentence();
  return vector_form(options, sentence, sentence.modules_for(route_task(options.task)),
                     runner.model().plan.columns(sentence_output(options.task, sentence)));
}

// What runs a model with these logits.
const char* command_of(Output logits) {
  switch (logits) {
    case Output::token_logits:
      return "labels of tokens (tag)";
    case Output::span_logits:
      return "answers in texts (qa)";
    case Output::choice_logits:
      return "choices (choose)";
    default:
      return "labels or scores of texts (classify, rerank)";
  }
}

// A run for vectors, and the place where they go.
class VectorJob {
 public:
  VectorJob(const TextRunner& runner, const EmbedOptions& options)
      : runner_(runner),
        output_(sentence_output(options.task, runner.sentence())),
        form_(form_of(runner, options)) {
    const SentenceModules& sentence = runner.sentence();
    if (sentence.splade || (sentence.late && !sentence.m3))
      runner.tell(
          options.report,
          fmt::format(
              "{}: is made for {}; the mean of its token vectors was taken, as sentence-transformers does",
              runner.checkpoint().folder().string(),
              sentence.splade ? "sparse vectors (embed-sparse)" : "token vectors (embed-tokens)"));
    else if (const std::optional<Output> logits = runner.model().task_logits(); logits && !sentence.declared)
      runner.tell(
          options.report,
          fmt::format("{}: has no modules.json and is made for {}; the mean of its token vectors was taken, "
                      "as sentence-transformers does",
                      runner.checkpoint().folder().string(), command_of(*logits)));
    job.wanted = {output_};
    job.rules.prompt = runner.texts().prompt(prompt_text(
        options, runner.sentence(), [&](const std::string& note) { runner.tell(options.report, note); }));
    job.follow(options);
  }

  // `first_row`: the row of an input's first vector; an input has as many as are pooled apart, else one.
  Vectors run(std::span<const EncodeInput> inputs, size_t rows,
              const std::function<size_t(size_t input)>& first_row) const {
    Vectors vectors{static_cast<int64_t>(rows), form_.columns, {}};
    vectors.values.resize(rows * static_cast<size_t>(form_.columns));
    runner_.run(inputs, job, [&](const TextRunner::TextResult& r) {
      const Matrix& m = r.result[output_];
      const int64_t first = r.row(), past = r.batch.rows_before(OutputRows::texts, r.position + 1);
      for (int64_t i = first; i < past; ++i)
        form_.take(m.row(i), std::span(vectors.values)
                                 .subspan((first_row(r.text) + static_cast<size_t>(i - first)) *
                                          static_cast<size_t>(form_.columns)));
    });
    return vectors;
  }

  TextRunner::Job job;

 private:
  const TextRunner& runner_;
  Output output_;
  VectorForm form_;
};

// Calls body(text) for each text, in parallel. Errors get the text's number.
void for_each_text(const TextRunner& runner, size_t texts, size_t first_text,
                   const std::function<void(size_t text)>& body) {
  runner.pool()->parallel_for(static_cast<int64_t>(texts), [&](int64_t i, int) {
    try {
      body(static_cast<size_t>(i));
    } catch (const Error& e) {
      throw Error(e.code(), fmt::format("text {}: {}", first_text + static_cast<size_t>(i) + 1, e.what()));
    }
  });
}

// The spans of a text in code points. Their beginnings ascend, and so do their ends.
void append_chunks(std::vector<Chunk>& chunks, size_t number, std::string_view text,
                   std::span<const TextSpan> spans) {
  Chunk chunk{.text = number};
  size_t begin = 0;  // the byte of chunk.begin
  for (const TextSpan& span : spans) {
    chunk.begin += code_points(text.substr(begin, span.begin - begin));
    begin = span.begin;
    chunk.end = chunk.begin + code_points(text.substr(span.begin, span.end - span.begin));
    chunk.tokens = span.tokens;
    chunks.push_back(chunk);
    ++chunk.index;
  }
}

}  // namespace

int64_t vector_dimension(const TextRunner& runner, const EmbedOptions& options) {
  return form_of(runner, options).columns;
}

Vectors embed_texts(const TextRunner& runner, std::span<const std::string> texts,
                    const EmbedOptions& options) {
  std::vector<EncodeInput> inputs;
  for (const std::string& text : texts) inputs.push_back({text, std::nullopt});
  return VectorJob(runner, options).run(inputs, texts.size(), [](size_t input) { return input; });
}

ChunkVectors embed_chunks(const TextRunner& runner, std::span<const std::string> texts,
                          const ChunkOptions& chunking, const EmbedOptions& options) {
  if (chunking.late) require_mean_pooling(runner.sentence().modules_for(route_task(options.task)));
  VectorJob vectors(runner, options);
  const Chunker chunker(runner.texts(), vectors.job.rules.prompt.text, chunking);
  std::vector<std::vector<TextSpan>> spans(texts.size());
  std::vector<std::vector<ChunkWindow>> windows(texts.size());
  for_each_text(runner, texts.size(), options.first_text, [&](size_t text) {
    spans[text] = chunker.chunks(texts[text]);
    windows[text] = chunking.late
                        ? late_windows(chunker, texts[text], spans[text], runner.texts().max_tokens())
                        : windows_of_chunks(spans[text]);
  });

  ChunkVectors result;
  std::vector<EncodeInput> inputs;
  std::vector<size_t> text_of, first_rows;
  std::vector<ChunkWindow> all;
  size_t in_windows = 0;  // number of texts that the model does not read whole
  for (size_t text = 0; text < texts.size(); ++text) {
    for (const ChunkWindow& window : windows[text]) {
      inputs.push_back(
          {std::string_view(texts[text]).substr(window.begin, window.end - window.begin), std::nullopt});
      text_of.push_back(text);
      first_rows.push_back(result.chunks.size() + window.first_chunk);
      all.push_back(window);
    }
    in_windows += windows[text].size() > 1 ? 1 : 0;
    append_chunks(result.chunks, text, texts[text], spans[text]);
  }
  if (chunking.late && in_windows > 0)
    runner.tell(
        options.report,
        fmt::format("late chunking: {} of the texts {} to {} {} longer than {} tokens, so the model reads "
                    "them in windows, and no chunk depends on the text beyond its window",
                    in_windows, options.first_text + 1, options.first_text + texts.size(),
                    in_windows == 1 ? "is" : "are", runner.texts().max_tokens()));

  TextRunner::Job& job = vectors.job;
  job.text_of = [&](size_t input) { return text_of[input]; };
  job.inputs = "chunks of the texts";
  if (options.progress)
    job.progress = [&](std::string_view, uint64_t done, uint64_t total) {
      options.progress("chunks", done, total);
    };
  if (chunking.late)
    job.pooled_apart = [&](size_t input, const Encoding& encoding) {
      const std::vector<TextRange> parts =
          pooled_parts(all[input], spans[text_of[input]], encoding, job.rules.prompt);
      for (size_t i = 0; i < parts.size(); ++i)
        result.chunks[first_rows[input] + i].tokens = parts[i].second - parts[i].first;
      return parts;
    };
  result.vectors = vectors.run(inputs, result.chunks.size(), [&](size_t input) { return first_rows[input]; });
  return result;
}

}  // namespace mlxe
