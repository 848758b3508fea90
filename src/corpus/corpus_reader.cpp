#include "corpus/corpus_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <utility>

#include "encoder/text_batches.h"
#include "format/json_file.h"
#include "mlx_encoder/error.h"
#include "texts/text_file.h"

namespace mlxe {
namespace {

// A window has whole windows of the runner, and long texts must not take much memory.
constexpr size_t kMostTexts = 2 * kResultBatches.window, kMostBytes = size_t{8} << 20;

struct Cancelled {};

class WindowMaker {
 public:
  explicit WindowMaker(BoundedQueue<CorpusWindow>& windows) : windows_(windows) {}

  void begin(size_t file) { piece_ = {.file = file}; }

  void add(std::string text, uint64_t past) {
    bytes_ += text.size();
    window_.texts.push_back(std::move(text));
    ++piece_.count;
    piece_.past = past;
    if (window_.texts.size() >= kMostTexts || bytes_ >= kMostBytes) flush();
  }

  void end_file(uint64_t past) {
    piece_.last = true;
    piece_.past = past;
    window_.pieces.push_back(std::exchange(piece_, {}));
    // Files without a text fill no window, but have to be written.
    if (window_.pieces.size() >= kMostTexts) flush();
  }

  void flush() {
    if (piece_.count > 0) {
      window_.pieces.push_back(piece_);
      piece_.first += std::exchange(piece_.count, 0);
    }
    bytes_ = 0;
    if (!window_.pieces.empty() && !windows_.push(std::exchange(window_, {}))) throw Cancelled();
  }

 private:
  BoundedQueue<CorpusWindow>& windows_;
  CorpusWindow window_;
  CorpusPiece piece_;
  size_t bytes_ = 0;
};

void read_file(const CorpusFile& file, const std::string& text_column, const Warning& warning,
               WindowMaker& windows) {
  const TextFileOptions options{.text_column = has_columns(file.path) ? text_column : "",
                                .if_empty = IfEmpty::accept};
  const auto take = [&](TextRow row) {
    if (row.input.pair)
      throw Error(
          ErrorCode::usage,
          fmt::format("{}: {} {}: is a pair of texts, expected one text; name the column of the texts",
                      file.path.string(), row.unit, row.line));
    windows.add(std::move(row.input.text), std::min(row.past, file.bytes));
  };
  read_text_rows(file.path, options, take, warning);
}

}  // namespace

void read_corpus(std::span<const CorpusFile> files, const std::string& text_column, const Warning& warning,
                 BoundedQueue<CorpusWindow>& windows) noexcept {
  WindowMaker maker(windows);
  try {
    for (size_t i = 0; i < files.size(); ++i) {
      maker.begin(i);
      read_file(files[i], text_column, warning, maker);
      maker.end_file(files[i].bytes);
    }
    maker.flush();
    windows.close();
  } catch (const Cancelled&) {
    windows.close();
  } catch (...) {
    const std::exception_ptr error = std::current_exception();
    try {
      maker.flush();  // the files before have been read whole
    } catch (...) {
    }
    windows.close(error);
  }
}

}  // namespace mlxe
