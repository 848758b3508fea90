#include "compare/sides.h"

#include <fmt/format.h>

#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

EncoderOptions encoder_options(const CompareOptions& options, Activations activations,
                               const Warning& warning) {
  return {.engine = options.engine,
          .activations = activations,
          .threads = options.threads,
          .max_length = options.max_length,
          .allow_unknown = options.allow_unknown,
          .warning = warning};
}

void check_same_model(const TextRunner& a, const TextRunner& b) {
  const auto check = [&](const char* what, int64_t x, int64_t y) {
    if (x != y)
      throw Error(
          ErrorCode::unsupported,
          fmt::format("{} has {} {}, {} has {}; compare a model with a conversion of itself",
                      a.checkpoint().folder().string(), x, what, b.checkpoint().folder().string(), y));
  };
  check("layers", a.model().layers(), b.model().layers());
  check("hidden units", a.model().hidden_size(), b.model().hidden_size());
  if (a.model().has(Output::text_logits) && b.model().has(Output::text_logits))
    check("labels", static_cast<int64_t>(a.model().labels.size()),
          static_cast<int64_t>(b.model().labels.size()));
  if (a.model().has(Output::token_logits) && b.model().has(Output::token_logits))
    check("labels", static_cast<int64_t>(a.model().token_labels.size()),
          static_cast<int64_t>(b.model().token_labels.size()));
}

Output seen_of(const Model& a, const Model& b) {
  const std::optional<Output> logits = a.task_logits();
  return logits && b.has(*logits) ? *logits : Output::sentence;
}

}  // namespace

std::span<const float> rows_of(const Matrix& matrix, int64_t first, int64_t count) {
  return std::span(matrix.values)
      .subspan(static_cast<size_t>(first * matrix.columns), static_cast<size_t>(count * matrix.columns));
}

Sides::Sides(const std::filesystem::path& original, const std::filesystem::path& quantized,
             const CompareOptions& options, const Warning& warning)
    : original_(original, encoder_options(options, Activations::float32, warning)),
      quantized_(quantized, encoder_options(options, Activations::float32, warning), original_.pool()),
      seen_(seen_of(original_.model(), quantized_.model())) {
  const bool cpu_only = needs_cpu_engine(options.engine, options.run_mode);
  if (options.run_mode != Activations::float32 && (cpu_only || quantized_.engine_info().engine == "cpu")) {
    fast_.emplace(quantized, encoder_options(options, options.run_mode, warning), original_.pool());
    if (fast_->engine_info().activations == Activations::float32) fast_.reset();
  }
  check_same_model(original_, quantized_);
  if (original_.model().task_logits() && !classifier())
    warning("the converted folder has no classifier: its sentence vectors are compared instead");
  const SentenceModules& sentence = original_.sentence();
  if (sentence.splade || (sentence.late && !sentence.m3))
    warning(fmt::format("{}: is made for {}; the mean of its token vectors is compared, not these",
                        original.string(),
                        sentence.splade ? "sparse vectors (embed-sparse)" : "token vectors (embed-tokens)"));
  if (seen_ == Output::sentence &&
      (sentence.own_route(RouteTask::query) || sentence.own_route(RouteTask::document)))
    warning(
        "the model has a Router: the vectors of texts without a task are compared, not those of its other "
        "route");
}

std::array<RunRequest, 2> Sides::requests() const {
  const RunRequest request{.wanted = {Output::layers, seen_}};
  return {request, request};
}

std::span<const float> Sides::output_of(const RunResult& result, const Batch& batch, int64_t position) const {
  const Matrix& output = result[seen_];
  if (!by_token()) return rows_of(output, position);
  return rows_of(output, batch.offsets[static_cast<size_t>(position)], batch.length(position));
}

}  // namespace mlxe
