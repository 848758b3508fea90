// Windows of a corpus through the encoder.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <utility>

#include "corpus/corpus_files.h"
#include "corpus/corpus_reader.h"
#include "corpus/corpus_writer.h"
#include "mlx_encoder/corpus.h"

namespace mlxe {

class WindowRunner {
 public:
  // All must outlive this object. `tick` is called in the middle of a window, and may throw to end the run.
  WindowRunner(const Encoder& encoder, std::span<const CorpusFile> files, const CorpusOptions& options,
               const Warning& warning, std::function<void()> tick)
      : encoder_(encoder), files_(files), options_(options), warning_(warning), tick_(std::move(tick)) {}

  // Messages name the file, and the number of the text in it. Warns of the first text that is truncated.
  CorpusVectors run(CorpusWindow window);
  // Warns of the number of texts that were truncated, if it is above 1.
  void finish() const;
  uint64_t truncated() const noexcept { return truncated_; }

 private:
  void embed(std::span<const std::string> texts, size_t first, CallReport& report,
             CorpusVectors& result) const;
  void name_file(const CorpusWindow& window) const;
  void tell(const CorpusWindow& window, const CallReport& report);
  std::pair<const CorpusFile&, size_t> place(const CorpusWindow& window, size_t text) const;

  const Encoder& encoder_;
  std::span<const CorpusFile> files_;
  const CorpusOptions& options_;
  const Warning& warning_;
  std::function<void()> tick_;
  size_t texts_ = 0;
  uint64_t truncated_ = 0;
};

}  // namespace mlxe
