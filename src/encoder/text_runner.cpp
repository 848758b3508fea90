#include "encoder/text_runner.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

std::unique_ptr<Engine> make_engine(const EncoderOptions& options, std::shared_ptr<ThreadPool> pool) {
  const EngineOptions engine{.threads = options.threads, .activations = options.activations};
  const bool needs_cpu = needs_cpu_engine(options.engine, options.activations);
  const bool mlx = options.engine == EngineKind::mlx ||
                   (options.engine == EngineKind::automatic && !needs_cpu && mlx_has_gpu());
  return mlx ? make_mlx_engine(engine) : make_cpu_engine(engine, std::move(pool));
}

std::optional<TermPooling> parse_splade(const std::string& spelling) {
  if (spelling.empty()) return std::nullopt;
  if (spelling == "max") return TermPooling::max;
  if (spelling == "sum") return TermPooling::sum;
  throw Error(ErrorCode::usage, "pooling: \"" + spelling + "\" is unknown; use max or sum");
}

// Includes tokenizer files that existed before loading: one that disappears changes the tokenizer.
std::vector<std::string> files_read(const LoadedModel& loaded, const FolderStamp& before) {
  std::vector<std::string> files = files_read(loaded);
  for (const std::string& file : tokenizer_files(loaded))
    if (before.had(file) && std::ranges::find(files, file) == files.end()) files.push_back(file);
  return files;
}

void tell(CallReport* report, const Warning& warning, std::string sentence) {
  if (report != nullptr)
    report->warnings.push_back(std::move(sentence));
  else if (warning)
    warning(sentence);
}

// Reports the truncated texts of a call: all of them to its report, the first few and a summary as warnings.
class TruncationNotes {
 public:
  TruncationNotes(int64_t max_tokens, CallReport* report, const Warning& warning)
      : max_tokens_(max_tokens), report_(report), warning_(warning) {}

  // `text`: its index in the call; `number`: its number in messages. Texts come in order.
  void add(size_t text, const char* what, size_t number, const Encoding& e) {
    if (e.dropped_tokens == 0) return;
    if (++count_ <= kNamed)
      warn(fmt::format("{} {}: truncated to {} tokens, {}{} dropped", what, number, max_tokens_,
                       e.dropped_more ? "more than " : "", e.dropped_tokens));
    if (report_ == nullptr) return;
    std::vector<TruncatedText>& all = report_->truncated;
    if (all.empty() || all.back().text != text) all.push_back({.text = text});
    all.back().dropped = std::max(all.back().dropped, e.dropped_tokens);
    all.back().dropped_more |= e.dropped_more;
  }

  void finish(const char* what, size_t first, size_t last) {
    if (count_ > kNamed)
      warn(fmt::format("{} of the {} {} to {} were truncated to {} tokens", count_, what, first, last,
                       max_tokens_));
  }

 private:
  static constexpr size_t kNamed = 3;

  void warn(std::string sentence) {
    if (report_ == nullptr || report_->words_truncated) tell(report_, warning_, std::move(sentence));
  }

  int64_t max_tokens_;
  CallReport* report_;
  const Warning& warning_;
  size_t count_ = 0;
};

}  // namespace

bool needs_cpu_engine(EngineKind engine, Activations activations) {
  if (activations != Activations::int8 && activations != Activations::bf16) return false;
  if (engine == EngineKind::mlx)
    throw Error(
        ErrorCode::usage,
        fmt::format("engine mlx: found {} activations, expected float32; choose float32 or the cpu engine",
                    name(activations)));
  return true;
}

TextRunner::TextRunner(const std::filesystem::path& folder, const EncoderOptions& options,
                       std::shared_ptr<ThreadPool> pool)
    : TextRunner(FolderStamp(folder), folder, options, std::move(pool)) {}

TextRunner::TextRunner(const FolderStamp& before, const std::filesystem::path& folder,
                       const EncoderOptions& options, std::shared_ptr<ThreadPool> pool)
    : loaded_(load_model(folder, options.warning, options.embeds ? ExpectVectors::yes : ExpectVectors::no,
                         options.allow_unknown ? UnknownTensors::accept : UnknownTensors::refuse,
                         parse_splade(options.splade_pooling))),
      texts_(Tokenizer::load(folder, options.warning), loaded_, options.max_length, options.warning),
      pool_(pool ? std::move(pool) : std::make_shared<ThreadPool>(options.threads)),
      engine_(make_engine(options, pool_)),
      warning_(options.warning) {
  bind(loaded_, *engine_);
  if (warning_)
    for (const std::string& note : engine_->info().notes) warning_(note);
  before.require_unchanged(files_read(loaded_, before));
}

void TextRunner::run(std::span<const TextInput> texts, const Job& job, const Take& take) const {
  std::vector<EncodeInput> views;
  for (const TextInput& text : texts) views.push_back(view_of(text));
  run(views, job, take);
}

void TextRunner::run(std::span<const EncodeInput> texts, const Job& job, const Take& take) const {
  const auto text_of = [&](size_t input) { return job.text_of ? job.text_of(input) : input; };
  const auto number = [&](size_t input) { return job.first_text + text_of(input) + 1; };
  TruncationNotes truncations(texts_.max_tokens(job.rules), job.report, warning_);
  for (size_t begin = 0; begin < texts.size(); begin += kResultBatches.window) {
    const auto inputs = texts.subspan(begin, std::min(kResultBatches.window, texts.size() - begin));
    const TextWindows all =
        texts_.encode_all_windows(inputs, job.rules, *pool_, [&](size_t i) { return number(begin + i); });
    std::vector<size_t> lengths, place;          // of a window; its place among those of its text
    std::vector<size_t> left(inputs.size(), 0);  // windows of a text that have not run
    for (size_t i = 0; i < all.windows.size(); ++i) {
      const size_t input = begin + all.text[i];
      truncations.add(text_of(input), job.input, number(input), all.windows[i]);
      lengths.push_back(all.windows[i].ids.size());
      place.push_back(left[all.text[i]]++);
    }
    RunResult result;
    size_t done = begin;
    for (const TextBatch& batch : batches_by_length(lengths, job.batch_tokens)) {
      RunRequest request{.wanted = job.wanted};
      for (const size_t i : batch) {
        request.numbers.push_back(number(begin + all.text[i]));
        request.batch.append(all.windows[i].ids, all.windows[i].type_ids, job.rules.prompt.pool_from,
                             job.reads_expansion ? 0 : all.windows[i].expansion);
        if (job.pooled_apart)
          for (const auto& [first, past] : job.pooled_apart(begin + all.text[i], all.windows[i]))
            request.batch.pool_apart(first, past);
      }
      if (job.rules.chosen) request.batch.choose(*job.rules.chosen);
      engine_->run(loaded_.model, request, result);
      for (size_t i = 0; i < batch.size(); ++i) {
        const size_t window = batch[i];
        take({begin + all.text[window], place[window], all.windows[window], result, request.batch,
              static_cast<int64_t>(i)});
        if (--left[all.text[window]] == 0) ++done;
      }
      if (job.progress) job.progress("texts", done, texts.size());
    }
  }
  checkpoint().require_unwritten();
  if (!texts.empty()) truncations.finish(job.inputs, number(0), number(texts.size() - 1));
}

void TextRunner::tokenize(std::span<const TextInput> texts, const Job& job,
                          const std::function<void(size_t, const Encoding&)>& take) const {
  const auto number = [&](size_t text) { return job.first_text + text + 1; };
  TruncationNotes truncations(texts_.max_tokens(job.rules), job.report, warning_);
  for (size_t begin = 0; begin < texts.size(); begin += kResultBatches.window) {
    std::vector<EncodeInput> inputs;
    for (const TextInput& text : texts.subspan(begin, std::min(kResultBatches.window, texts.size() - begin)))
      inputs.push_back(view_of(text));
    const std::vector<Encoding> all =
        texts_.encode_all(inputs, job.rules, *pool_, [&](size_t i) { return number(begin + i); });
    for (size_t i = 0; i < all.size(); ++i) {
      truncations.add(begin + i, job.input, number(begin + i), all[i]);
      take(begin + i, all[i]);
    }
    if (job.progress) job.progress("texts", begin + all.size(), texts.size());
  }
  if (!texts.empty()) truncations.finish(job.inputs, number(0), number(texts.size() - 1));
}

void TextRunner::tell(CallReport* report, std::string sentence) const {
  mlxe::tell(report, warning_, std::move(sentence));
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
