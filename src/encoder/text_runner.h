// Runs texts through tokenizer and engine: tokenizes them in parallel, sorts them by length inside a
// window, and runs them in batches of a token budget. Shared by Encoder and `compare`.
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

// Whether `activations` needs the cpu engine (int8 and bf16 do). Errors: usage (int8 or bf16 with the mlx
// engine).
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
  // Encodes without truncation.
  Encoding encode_whole(const TextInput& text) const;
  // Throws format if a text has no token, or only tokens of a prompt that pooling skips: its vector or
  // label would be computed from nothing.
  static void require_tokens(const Encoding& encoding, int32_t pool_from);

  struct Job {
    Outputs wanted;
    std::string prefix;     // put before each text
    int32_t pool_from = 0;  // number of prefix tokens that pooling skips
    Truncation truncation = Truncation::longest_first;
    size_t first_text = 0;  // added to the number of a text in messages (index / runs_each)
    size_t runs_each = 1;   // number of inputs for each text of the user
    Progress progress;      // in texts
  };
  // Runs all texts. Calls `take` once for each text, in any order but never concurrently, with the text's
  // index, the result of its batch, and its position in that batch. A token classifier accepts texts
  // without tokens; `take` is not called for them. Errors with the number of the text: those of
  // Tokenizer::encode, format (require_tokens), numeric (NaN or infinity). Errors at the end: io (the
  // weights were written to meanwhile).
  using Take =
      std::function<void(size_t text, const RunResult& result, const Batch& batch, int64_t position)>;
  void run(std::span<const TextInput> texts, const Job& job, const Take& take) const;

  // Runs token ids (benchmarks, goldens) on the engine.
  RunResult run(const RunRequest& request) const;
  // The same into `result`, whose memory is reused.
  void run(const RunRequest& request, RunResult& result) const;

 private:
  TextRunner(const FolderStamp& before, const std::filesystem::path& folder, const EncoderOptions& options);

  LoadedModel loaded_;
  Tokenizer tokenizer_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<ThreadPool> pool_;  // for the tokenizer
  int64_t max_tokens_;
  Warning warning_;
};

}  // namespace mlxe
