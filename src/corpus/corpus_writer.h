// The files of vectors of a corpus, written on a thread of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/bounded_queue.h"
#include "corpus/corpus_files.h"
#include "corpus/corpus_reader.h"
#include "corpus/corpus_record.h"
#include "mlx_encoder/corpus.h"
#include "vectors/vector_file.h"

namespace mlxe {

// The vectors of a window.
struct CorpusVectors {
  Vectors vectors;
  std::vector<Chunk> chunks;  // of each vector; texts count from the window's first. Empty: a vector a text
  std::vector<CorpusPiece> pieces;
};

// The name of the file of vectors of `file`, relative to their folder.
std::string vectors_name(const CorpusFile& file, VectorFormat format);

class CorpusWriter {
 public:
  // All must outlive this object. `columns`: of the vectors, before they are packed.
  CorpusWriter(std::span<const CorpusFile> files, const std::filesystem::path& folder, VectorFormat format,
               const CorpusOptions& options, int64_t columns, CorpusRecord& record);

  // Writes what comes, to the end of the queue. On an error, cancels the queue and keeps the error for rethrow().
  void run(BoundedQueue<CorpusVectors>& windows) noexcept;
  // Throws the error of run(), which must have ended.
  void rethrow() const;

 private:
  void write(const CorpusVectors& window);
  void write_piece(const CorpusPiece& piece, const Vectors& vectors, std::vector<Chunk> chunks);
  void finish(const CorpusFile& file);

  std::span<const CorpusFile> files_;
  const std::filesystem::path& folder_;
  VectorFormat format_;
  const CorpusOptions& options_;
  int64_t columns_;
  CorpusRecord& record_;
  std::unique_ptr<VectorFile> open_;
  FinishedFile written_;  // of the open file
  std::exception_ptr error_;
};

}  // namespace mlxe
