#include "encoder/text_runner.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>

#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

// Number of texts that are tokenized and sorted together: large enough that the texts of a batch have
// similar lengths, small enough that results come early and memory stays small.
constexpr size_t kWindow = 2048;
// Most tokens of a batch: enough to keep every thread busy, few enough for the activations to stay in cache.
constexpr int64_t kBatchTokens = 4096;

std::unique_ptr<Engine> make_engine(const EncoderOptions& options) {
  const EngineOptions engine{.threads = options.threads, .activations = options.activations};
  const bool needs_cpu = needs_cpu_engine(options.engine, options.activations);
  const bool mlx = options.engine == EngineKind::mlx ||
                   (options.engine == EngineKind::automatic && !needs_cpu && mlx_has_gpu());
  return mlx ? make_mlx_engine(engine) : make_cpu_engine(engine);
}

// The files of the model and its tokenizer, relative to the folder. Includes every tokenizer file that
// existed before loading or exists now, because a file that appears or disappears changes the tokenizer.
std::vector<std::string> files_read(const LoadedModel& loaded, const FolderStamp& before) {
  const std::filesystem::path& folder = loaded.checkpoint.folder();
  const auto relative = [&](const std::filesystem::path& file) {
    return file.lexically_relative(folder).lexically_normal().generic_string();
  };
  const std::filesystem::path& transformer = loaded.checkpoint.transformer_folder();
  std::vector<std::string> files{relative(transformer / "config.json")};
  for (const CheckpointFile& file : loaded.checkpoint.files()) files.push_back(relative(file.path));
  for (const char* name : kTokenizerFiles) {
    const std::filesystem::path path = transformer / name;
    if (before.had(relative(path)) || std::filesystem::exists(path)) files.push_back(relative(path));
  }
  for (const std::filesystem::path& file : loaded.sentence.files) files.push_back(file.generic_string());
  return files;
}

}  // namespace

bool needs_cpu_engine(EngineKind engine, Activations activations) {
  if (activations != Activations::int8 && activations != Activations::bf16) return false;
  if (engine == EngineKind::mlx)
    throw Error(
        ErrorCode::usage,
        fmt::format("engine mlx with {} activations: the mlx engine's are float32; leave out one of the two",
                    name(activations)));
  return true;
}

TextRunner::TextRunner(const std::filesystem::path& folder, const EncoderOptions& options)
    : TextRunner(FolderStamp(folder), folder, options) {}

TextRunner::TextRunner(const FolderStamp& before, const std::filesystem::path& folder,
                       const EncoderOptions& options)
    : loaded_(load_model(folder, options.warning)),
      tokenizer_(Tokenizer::load(folder, options.warning)),
      engine_(make_engine(options)),
      pool_(std::make_unique<ThreadPool>(options.threads)),
      warning_(options.warning) {
  if (loaded_.sentence.do_lower_case) tokenizer_.lower_case_first();
  bind(loaded_, *engine_);
  max_tokens_ = token_limit(loaded_, tokenizer_.model_max_length(), options.warning);
  if (options.max_length > 0) max_tokens_ = std::min(max_tokens_, options.max_length);
  if (warning_)
    for (const std::string& note : engine_->info().notes) warning_(note);
  before.require_unchanged(files_read(loaded_, before));
}

Encoding TextRunner::encode(const TextInput& text, Truncation truncation) const {
  return tokenizer_.encode(text.text, text.pair, {.max_length = max_tokens_, .truncation = truncation});
}

Encoding TextRunner::encode_whole(const TextInput& text) const {
  return tokenizer_.encode(text.text, text.pair, {});
}

void TextRunner::require_tokens(const Encoding& encoding, int32_t pool_from) {
  const auto length = static_cast<int32_t>(encoding.ids.size());
  if (length == 0)
    throw Error(
        ErrorCode::format,
        "no token to compute from: the text is empty or holds nothing that the tokenizer keeps, and it adds "
        "no special tokens; leave the text out");
  if (pool_from >= length)
    throw Error(
        ErrorCode::format,
        "no token to pool beside those of the prompt, which this model leaves out; leave the text out, or "
        "shorten the prompt");
}

void TextRunner::run(std::span<const TextInput> texts, const Job& job, const Take& take) const {
  const auto number = [&](size_t i) { return job.first_text + i / job.runs_each + 1; };
  const bool by_token = job.wanted.contains(Output::token_logits);
  size_t truncated = 0;
  for (size_t begin = 0; begin < texts.size(); begin += kWindow) {
    const auto window = texts.subspan(begin, std::min(kWindow, texts.size() - begin));
    std::vector<Encoding> encodings(window.size());
    pool_->parallel_for(static_cast<int64_t>(window.size()), [&](int64_t i, int) {
      TextInput text = window[i];
      text.text.insert(0, job.prefix);
      try {
        encodings[i] = encode(text, job.truncation);
        if (!by_token) require_tokens(encodings[i], job.pool_from);
      } catch (const Error& e) {
        throw Error(e.code(), fmt::format("text {}: {}", number(begin + i), e.what()));
      }
    });
    for (size_t i = 0; i < window.size(); ++i) {
      if (encodings[i].dropped_tokens == 0) continue;
      if (++truncated <= 3 && warning_)
        warning_(fmt::format("text {}: truncated to {} tokens, {}{} dropped", number(begin + i), max_tokens_,
                             encodings[i].dropped_more ? "more than " : "", encodings[i].dropped_tokens));
    }

    std::vector<size_t> order;
    for (size_t i = 0; i < window.size(); ++i)
      if (!encodings[i].ids.empty()) order.push_back(i);
    std::ranges::stable_sort(order, {}, [&](size_t i) { return encodings[i].ids.size(); });
    RunResult result;
    for (size_t next = 0; next < order.size();) {
      RunRequest request{.wanted = job.wanted};
      const size_t first = next;
      do {
        request.numbers.push_back(number(begin + order[next]));
        const Encoding& e = encodings[order[next++]];
        request.batch.append(e.ids, e.type_ids, job.pool_from);
      } while (next < order.size() &&
               request.batch.tokens() + static_cast<int64_t>(encodings[order[next]].ids.size()) <=
                   kBatchTokens);
      engine_->run(loaded_.model, request, result);
      for (size_t i = first; i < next; ++i)
        take(begin + order[i], result, request.batch, static_cast<int64_t>(i - first));
      if (job.progress) job.progress("texts", begin + next, texts.size());
    }
  }
  checkpoint().require_unwritten();
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
