#include "encoder/text_runner.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <numeric>

#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

// Texts tokenized and sorted together: long enough that a batch holds texts of one length, short enough that
// results flow and memory stays flat.
constexpr size_t kWindow = 2048;
// Tokens a batch may hold: enough to keep every thread busy, few enough for the activations to stay in cache.
constexpr int64_t kBatchTokens = 4096;

std::unique_ptr<Engine> make_engine(const EncoderOptions& options) {
  const EngineOptions engine{.threads = options.threads, .activations = options.activations};
  switch (options.engine) {
    case EngineKind::mlx:
      return make_mlx_engine(engine);
    case EngineKind::cpu:
      return make_cpu_engine(engine);
    case EngineKind::automatic:
      break;
  }
  return mlx_has_gpu() ? make_mlx_engine(engine) : make_cpu_engine(engine);
}

}  // namespace

EngineKind parse_engine(std::string_view spelling) {
  if (spelling == "auto") return EngineKind::automatic;
  if (spelling == "mlx") return EngineKind::mlx;
  if (spelling == "cpu") return EngineKind::cpu;
  throw Error(ErrorCode::usage, "engine: \"" + std::string(spelling) + "\" is unknown; use auto, mlx or cpu");
}

Activations parse_activations(std::string_view spelling) {
  if (spelling == "auto") return Activations::automatic;
  if (spelling == "int8") return Activations::int8;
  if (spelling == "bf16" || spelling == "bfloat16") return Activations::bf16;
  if (spelling == "f32" || spelling == "float32") return Activations::float32;
  throw Error(ErrorCode::usage,
              "activations: \"" + std::string(spelling) + "\" is unknown; use auto, int8, bf16 or f32");
}

const char* name(Activations activations) noexcept {
  constexpr std::array kNames{"auto", "int8", "bf16", "f32"};
  return kNames[static_cast<size_t>(activations)];
}

TextRunner::TextRunner(const std::filesystem::path& folder, const EncoderOptions& options)
    : loaded_(load_model(folder, options.warning)),
      tokenizer_(Tokenizer::load(folder, options.warning)),
      engine_(make_engine(options)),
      pool_(std::make_unique<ThreadPool>(options.threads)),
      warning_(options.warning) {
  if (loaded_.sentence.do_lower_case) tokenizer_.lower_case_first();
  bind(loaded_, *engine_);
  max_tokens_ = loaded_.model.max_tokens();
  for (int64_t limit :
       {loaded_.sentence.max_seq_length.value_or(0), tokenizer_.model_max_length(), options.max_length})
    if (limit > 0) max_tokens_ = std::min(max_tokens_, limit);
  if (warning_)
    for (const std::string& note : engine_->info().notes) warning_(note);
}

Encoding TextRunner::encode(const TextInput& text, Truncation truncation) const {
  return tokenizer_.encode(text.text, text.pair, {.max_length = max_tokens_, .truncation = truncation});
}

Encoding TextRunner::encode_whole(const TextInput& text) const {
  return tokenizer_.encode(text.text, text.pair, {});
}

void TextRunner::run(std::span<const TextInput> texts, const Job& job, const Take& take) const {
  const auto number = [&](size_t i) { return job.first_text + i / job.runs_each + 1; };
  size_t truncated = 0;
  for (size_t begin = 0; begin < texts.size(); begin += kWindow) {
    const auto window = texts.subspan(begin, std::min(kWindow, texts.size() - begin));
    std::vector<Encoding> encodings(window.size());
    pool_->parallel_for(static_cast<int64_t>(window.size()), [&](int64_t i, int) {
      TextInput text = window[i];
      text.text.insert(0, job.prefix);
      try {
        encodings[i] = encode(text, job.truncation);
      } catch (const Error& e) {
        throw Error(e.code(), fmt::format("text {}: {}", number(begin + i), e.what()));
      }
    });
    for (size_t i = 0; i < window.size(); ++i) {
      if (encodings[i].dropped_tokens == 0) continue;
      if (++truncated <= 3 && warning_)
        warning_(fmt::format("text {}: truncated to {} tokens, {} dropped", number(begin + i), max_tokens_,
                             encodings[i].dropped_tokens));
    }

    std::vector<size_t> order(window.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::ranges::stable_sort(order, {}, [&](size_t i) { return encodings[i].ids.size(); });
    RunResult result;
    for (size_t next = 0; next < order.size();) {
      RunRequest request = job.wanted;
      const size_t first = next;
      do {
        const Encoding& e = encodings[order[next++]];
        const auto length = static_cast<int32_t>(e.ids.size());
        request.batch.append(e.ids, e.type_ids, std::min(job.pool_from, length));
      } while (next < order.size() &&
               request.batch.tokens() + static_cast<int64_t>(encodings[order[next]].ids.size()) <=
                   kBatchTokens);
      engine_->run(loaded_.model, request, result);
      for (size_t i = first; i < next; ++i)
        take(begin + order[i], result, request.batch, static_cast<int64_t>(i - first));
      if (job.progress) job.progress("texts", begin + next, texts.size());
    }
  }
  if (truncated > 3 && warning_)
    warning_(fmt::format("{} of the {} {} to {} were truncated to {} tokens", truncated,
                         job.runs_each == 1 ? "texts" : "pairs with texts", number(0),
                         number(texts.size() - 1), max_tokens_));
}

void TextRunner::run(const RunRequest& request, RunResult& result) const {
  engine_->run(loaded_.model, request, result);
}

RunResult TextRunner::run(const RunRequest& request) const {
  RunResult result;
  run(request, result);
  return result;
}

}  // namespace mlxe
