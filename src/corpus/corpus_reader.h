// The texts of the files of a corpus, in windows that may hold texts of several files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/bounded_queue.h"
#include "corpus/corpus_files.h"
#include "mlx_encoder/types.h"

namespace mlxe {

// Neighbouring texts of a window that belong to one file.
struct CorpusPiece {
  size_t file = 0;   // index into the files
  size_t first = 0;  // of its texts, the first one of the piece
  size_t count =
      0;  // of texts; 0: the end of a file whose last texts were in the window before, or of an empty one
  bool last = false;  // whether the file ends with this piece
  uint64_t past = 0;  // bytes of the file up to the end of the piece, about
};

struct CorpusWindow {
  std::vector<std::string> texts;
  std::vector<CorpusPiece> pieces;  // all of its texts, in order
};

// Reads all files and closes the queue, with the error if there was one; to be called on a thread of its own. Warnings:
// those of read_text_rows.
void read_corpus(std::span<const CorpusFile> files, const std::string& text_column, const Warning& warning,
                 BoundedQueue<CorpusWindow>& windows) noexcept;

}  // namespace mlxe
