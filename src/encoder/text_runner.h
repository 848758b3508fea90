// Texts through tokenizer and engine: tokenized in parallel, sorted by length inside a window, run in batches
// of a token budget, results handed out in input order. Shared by Encoder and by `compare`.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "encoder/model_loader.h"
#include "format/folder_stamp.h"
#include "mlx_encoder/encoder.h"
#include "tokenizer/tokenizer.h"

namespace mlxe {

// Whether these activations, of fewer bits, are asked for: only the cpu engine has them. Errors: usage (with
// the mlx engine).
bool needs_cpu_engine(EngineKind engine, Activations activations);

class TextRunner {
 public:
  // Errors: those of load_model and Tokenizer::load; io (a file of the model changed while it was read).
  TextRunner(const std::filesystem::path& folder, const EncoderOptions& options);

  const Model& model() const noexcept { return loaded_.model; }
  const Checkpoint& checkpoint() const noexcept { return loaded_.checkpoint; }
  const Tokenizer& tokenizer() const noexcept { return tokenizer_; }
  EngineInfo engine_info() const { return engine_->info(); }
  const SentenceModules& sentence() const noexcept { return loaded_.sentence; }
  ScoreFunction score_function() const noexcept { return loaded_.score_function; }
  int64_t max_tokens() const noexcept { return max_tokens_; }

  Encoding encode(const TextInput& text, Truncation truncation = Truncation::longest_first) const;
  // Truncates nothing.
  Encoding encode_whole(const TextInput& text) const;
  // Throws format where a text's vector or label would be made of nothing: it has no token, or none but those
  // of a prompt that pooling skips.
  static void require_tokens(const Encoding& encoding, int32_t pool_from);

  struct Job {
    RunRequest wanted;      // which outputs; its batch is filled in
    std::string prefix;     // put before each text
    int32_t pool_from = 0;  // tokens of the prefix pooling skips
    Truncation truncation = Truncation::longest_first;
    size_t first_text = 0;  // how messages number them: a text's index divided by `runs_each`, from here
    size_t runs_each = 1;   // inputs made of one text of the user's
    Progress progress;      // in texts
  };
  // Runs all texts. `take` is called once for each text, in any order but never concurrently, with its index,
  // the result of its batch, and which text of that batch it is. Only a token classifier runs texts without
  // tokens: it has nothing to say of them, so `take` is not called. Errors, each with the number of the text:
  // those of Tokenizer::encode, format (require_tokens), numeric (NaN or infinity). And io at the end, where
  // the weights were written to meanwhile.
  using Take =
      std::function<void(size_t text, const RunResult& result, const Batch& batch, int64_t position)>;
  void run(std::span<const TextInput> texts, const Job& job, const Take& take) const;

  // Token ids already made (benchmarks, goldens): straight to the engine.
  RunResult run(const RunRequest& request) const;
  // Into `result`, whose memory is used again.
  void run(const RunRequest& request, RunResult& result) const;

 private:
  TextRunner(const FolderStamp& before, const std::filesystem::path& folder, const EncoderOptions& options);

  LoadedModel loaded_;
  Tokenizer tokenizer_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<ThreadPool> pool_;  // for tokenizing
  int64_t max_tokens_;
  Warning warning_;
};

}  // namespace mlxe
