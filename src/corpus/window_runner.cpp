#include "corpus/window_runner.h"

#include <fmt/format.h>

#include "mlx_encoder/error.h"

namespace mlxe {

CorpusVectors WindowRunner::run(CorpusWindow window) {
  CorpusVectors result;
  CallReport report{.words_truncated = false};
  try {
    embed(window.texts, texts_, report, result);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::format || error.code() == ErrorCode::numeric) name_file(window);
    throw;
  }
  tell(window, report);
  texts_ += window.texts.size();
  result.pieces = std::move(window.pieces);
  return result;
}

void WindowRunner::finish() const {
  if (truncated_ > 1 && warning_) warning_(fmt::format("{} of {} texts were truncated", truncated_, texts_));
}

void WindowRunner::embed(std::span<const std::string> texts, size_t first, CallReport& report,
                         CorpusVectors& result) const {
  EmbedOptions options = options_.embed;
  options.first_text = first;
  options.report = &report;
  options.progress = [this](std::string_view, uint64_t, uint64_t) {
    if (tick_) tick_();
  };
  if (options_.chunking) {
    ChunkVectors cut = encoder_.embed_chunks(texts, *options_.chunking, options);
    result.vectors = std::move(cut.vectors);
    result.chunks = std::move(cut.chunks);
  } else {
    result.vectors = encoder_.embed(texts, options);
  }
}

// After an error: runs the texts of each file alone, for an error with the file and the number there.
void WindowRunner::name_file(const CorpusWindow& window) const {
  size_t text = 0;
  for (const CorpusPiece& piece : window.pieces) {
    CallReport report;
    CorpusVectors unused;
    try {
      embed(std::span(window.texts).subspan(text, piece.count), piece.first, report, unused);
    } catch (const Error& error) {
      throw Error(error.code(), fmt::format("{}: {}", files_[piece.file].path.string(), error.what()));
    }
    text += piece.count;
  }
}

void WindowRunner::tell(const CorpusWindow& window, const CallReport& report) {
  if (truncated_ == 0 && !report.truncated.empty() && warning_) {
    const TruncatedText& first = report.truncated.front();
    const auto [file, number] = place(window, first.text);
    warning_(fmt::format("{}: text {}: truncated, {}{} tokens dropped", file.path.string(), number,
                         first.dropped_more ? "more than " : "", first.dropped));
  }
  truncated_ += report.truncated.size();
  if (warning_)
    for (const std::string& sentence : report.warnings) warning_(sentence);
}

std::pair<const CorpusFile&, size_t> WindowRunner::place(const CorpusWindow& window, size_t text) const {
  for (const CorpusPiece& piece : window.pieces) {
    if (text < piece.count) return {files_[piece.file], piece.first + text + 1};
    text -= piece.count;
  }
  throw Error(ErrorCode::internal, "a truncated text lies in no piece of its window");
}

}  // namespace mlxe
