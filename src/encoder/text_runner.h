// Runs texts through a tokenizer (text_tokenizer.h) and an engine, in batches (text_batches.h).
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "encoder/model_loader.h"
#include "encoder/text_batches.h"
#include "encoder/text_tokenizer.h"
#include "format/folder_stamp.h"
#include "mlx_encoder/encoder.h"

namespace mlxe {

// Whether `activations` needs the cpu engine (int8 and bf16 do). Errors: usage (int8 or bf16 with the mlx
// engine).
bool needs_cpu_engine(EngineKind engine, Activations activations);

class TextRunner {
 public:
  // `pool`: threads for the tokenizer and the cpu engine, may be shared with other runners; null: a new pool of
  // options.threads. Errors: those of load_model and Tokenizer::load; io (a file of the model changed while
  // it was read).
  TextRunner(const std::filesystem::path& folder, const EncoderOptions& options,
             std::shared_ptr<ThreadPool> pool = nullptr);

  const LoadedModel& loaded() const noexcept { return loaded_; }
  const Model& model() const noexcept { return loaded_.model; }
  const Checkpoint& checkpoint() const noexcept { return loaded_.checkpoint; }
  const TextTokenizer& texts() const noexcept { return texts_; }
  EngineInfo engine_info() const { return engine_->info(); }
  const SentenceModules& sentence() const noexcept { return loaded_.sentence; }
  ScoreFunction score_function() const noexcept { return loaded_.score_function; }
  ScoreFunction relevance_function() const {
    return mlxe::relevance_function(loaded_.score_function, checkpoint().config(), sentence());
  }
  const std::shared_ptr<ThreadPool>& pool() const noexcept { return pool_; }

  struct Job {
    Outputs wanted;
    TextRules rules;
    size_t first_text = 0;  // index of the first text, for the numbers of texts in messages
    // The text of the user that an input was made of, for inputs that are several to a text. Ascending.
    std::function<size_t(size_t input)> text_of = {};
    // What an input and inputs are in messages: "query", "pairs with the texts".
    const char* input = "text";
    const char* inputs = "texts";
    bool reads_expansion = true;  // whether attention reads the tokens that make a query longer
    // Parts of an input that are pooled apart: half-open ranges of its tokens. Null: inputs are pooled whole.
    std::function<std::vector<TextRange>(size_t input, const Encoding& encoding)> pooled_apart = {};
    int64_t batch_tokens = kResultBatches.tokens;  // most tokens of a batch, or one longer text
    Progress progress = {};                        // in texts
    CallReport* report = nullptr;                  // see EmbedOptions

    // Takes what the options of every call have.
    template <class Options>
    void follow(const Options& options) {
      first_text = options.first_text;
      progress = options.progress;
      report = options.report;
    }
  };
  struct TextResult {
    size_t text;    // its index among the inputs
    size_t window;  // of the text's windows; 0 without TextRules::stride
    const Encoding& encoding;
    const RunResult& result;  // of the whole batch
    const Batch& batch;
    int64_t position;  // of the text in the batch

    // Of an output with rows of texts: the row of the text, or of its first part that is pooled apart.
    int64_t row() const { return batch.rows_before(OutputRows::texts, position); }
  };
  // Runs all texts. Calls `take` once for each text or window, in any order but never concurrently. Does not call it for
  // texts without tokens (WithoutTokens::accept). Errors with the number of the text: those of
  // TextTokenizer::encode, numeric (NaN or infinity). Errors at the end: io (the weights were written to during
  // the run).
  using Take = std::function<void(const TextResult&)>;
  void run(std::span<const EncodeInput> texts, const Job& job, const Take& take) const;
  void run(std::span<const TextInput> texts, const Job& job, const Take& take) const;
  // The tokens of all texts, in order, by the rules of the job, without running the model. Errors: those of
  // TextTokenizer::encode.
  void tokenize(std::span<const TextInput> texts, const Job& job,
                const std::function<void(size_t text, const Encoding& encoding)>& take) const;

  // Adds a sentence to the report, if there is one, else gives it to the warning of the options.
  void tell(CallReport* report, std::string sentence) const;

  // Runs token ids on the engine, without the tokenizer (benchmarks, goldens).
  RunResult run(const RunRequest& request) const;
  // The same into `result`, whose memory is reused.
  void run(const RunRequest& request, RunResult& result) const;

 private:
  TextRunner(const FolderStamp& before, const std::filesystem::path& folder, const EncoderOptions& options,
             std::shared_ptr<ThreadPool> pool);

  LoadedModel loaded_;
  TextTokenizer texts_;
  std::shared_ptr<ThreadPool> pool_;
  std::unique_ptr<Engine> engine_;
  Warning warning_;
};

}  // namespace mlxe
