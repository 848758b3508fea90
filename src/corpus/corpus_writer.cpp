#include "corpus/corpus_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <utility>

#include "base/file_errors.h"
#include "mlx_encoder/error.h"

namespace mlxe {

namespace fs = std::filesystem;

std::string vectors_name(const CorpusFile& file, VectorFormat format) {
  return fmt::format("{}.{}", file.name, name(format));
}

CorpusWriter::CorpusWriter(std::span<const CorpusFile> files, const fs::path& folder, VectorFormat format,
                           const CorpusOptions& options, int64_t columns, CorpusRecord& record)
    : files_(files),
      folder_(folder),
      format_(format),
      options_(options),
      columns_(columns),
      record_(record) {}

void CorpusWriter::run(BoundedQueue<CorpusVectors>& windows) noexcept {
  try {
    while (const auto window = windows.pop()) write(*window);
  } catch (...) {
    error_ = std::current_exception();
    windows.cancel();
  }
  open_.reset();
}

void CorpusWriter::rethrow() const {
  if (error_) std::rethrow_exception(error_);
}

void CorpusWriter::write(const CorpusVectors& window) {
  size_t text = 0;  // the first of the piece
  int64_t row = 0;
  for (const CorpusPiece& piece : window.pieces) {
    const size_t past = text + piece.count;
    std::vector<Chunk> chunks;
    Vectors part{static_cast<int64_t>(piece.count), window.vectors.columns, {}};
    if (options_.chunking) {
      for (auto i = static_cast<size_t>(row); i < window.chunks.size() && window.chunks[i].text < past; ++i) {
        chunks.push_back(window.chunks[i]);
        chunks.back().text += piece.first;
        chunks.back().text -= text;
      }
      part.rows = static_cast<int64_t>(chunks.size());
    }
    const auto values =
        std::span(window.vectors.values)
            .subspan(static_cast<size_t>(row * part.columns), static_cast<size_t>(part.rows * part.columns));
    part.values.assign(values.begin(), values.end());
    write_piece(piece, part, std::move(chunks));
    row += part.rows;
    text = past;
  }
}

void CorpusWriter::write_piece(const CorpusPiece& piece, const Vectors& vectors, std::vector<Chunk> chunks) {
  const CorpusFile& file = files_[piece.file];
  if (!open_) {
    const fs::path output = folder_ / vectors_name(file, format_);
    with_file_errors([&] { fs::create_directories(output.parent_path()); });
    open_ = open_vector_file(output, format_, dtype_of(options_.precision),
                             packed_columns(columns_, options_.precision),
                             options_.chunking ? VectorRows::chunks : VectorRows::texts);
    written_ = {.bytes = file.bytes, .modified = file.modified};
  }
  try {
    open_->append(quantize(vectors, options_.precision, options_.ranges,
                           static_cast<size_t>(written_.vectors), options_.chunking ? "chunk" : "text"),
                  chunks);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::numeric) throw;
    throw Error(error.code(), fmt::format("{}: {}", file.path.string(), error.what()));
  }
  written_.texts += piece.count;
  written_.vectors += static_cast<uint64_t>(vectors.rows);
  if (piece.last) finish(file);
}

void CorpusWriter::finish(const CorpusFile& file) {
  open_->finish();
  open_.reset();
  written_.output = vectors_name(file, format_);
  written_.output_bytes = with_file_errors([&] { return fs::file_size(folder_ / written_.output); });
  record_.add(file, std::move(written_));
}

}  // namespace mlxe
