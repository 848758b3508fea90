#include "mlx_encoder/corpus.h"

#include "call.h"
#include "model.h"
#include "values.h"

namespace mlxe::python {
namespace {

auto embed_files(const Model& model, const std::string& input, const std::string& output,
                 const std::string& prompt_name, const std::optional<std::string>& prompt,
                 const std::string& task, int64_t dimension, bool normalize, const std::string& precision,
                 const std::optional<Doubles>& ranges, bool in_float64, int64_t chunk_tokens,
                 int64_t chunk_overlap, bool late_chunking, const std::string& format,
                 const std::string& text_column, const nb::object& progress) {
  CorpusOptions options{.embed = {.prompt_name = prompt_name,
                                  .prompt = prompt,
                                  .task = parse_embed_task(task),
                                  .dimension = dimension,
                                  .normalize = normalize},
                        .precision = parse_vector_precision(precision),
                        .format = format,
                        .text_column = text_column};
  if (ranges) options.ranges = ranges_of(*ranges, in_float64);
  if (chunk_tokens > 0)
    options.chunking = ChunkOptions{.tokens = chunk_tokens, .overlap = chunk_overlap, .late = late_chunking};
  const CorpusResult r = run(progress, OnInterrupt::leave,
                             [encoder = model.encoder, input, output, options](CallState& call) mutable {
                               options.progress = call.progress();
                               options.warning = call.warning();
                               call.wait_for_left_calls();
                               return embed_corpus(*encoder, input, output, options);
                             });
  return result<"reports.EmbeddedCorpus">(
      "output"_a = output, "files"_a = r.files, "files_before"_a = r.files_before, "texts"_a = r.texts,
      "truncated"_a = r.truncated, "rows"_a = r.vectors, "columns"_a = r.columns, "precision"_a = precision);
}

}  // namespace

void bind_corpus(nb::class_<Model>& model) {
  model.def("embed_corpus", embed_files, "input"_a, "output"_a, "prompt_name"_a, "prompt"_a.none(), "task"_a,
            "dimension"_a, "normalize"_a, "precision"_a, "ranges"_a.none(), "in_float64"_a, "chunk_tokens"_a,
            "chunk_overlap"_a, "late_chunking"_a, "format"_a, "text_column"_a, "progress"_a.none(),
            "A reports.EmbeddedCorpus.");
}

}  // namespace mlxe::python
