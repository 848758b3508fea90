// Vectors of a corpus: for each file of texts in a folder, a file of vectors.
//
//   mlxe::embed_corpus(encoder, "corpus", "vectors");  // corpus/a/1.jsonl -> vectors/a/1.jsonl.npy
//
// A run that was ended, also by SIGKILL or a power failure, is continued by the same call: files that are done are not
// read again. docs/corpora.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "mlx_encoder/encoder.h"
#include "mlx_encoder/types.h"
#include "mlx_encoder/vector_precision.h"

namespace mlxe {

struct CorpusOptions {
  // Of its members, first_text, progress and report are not used.
  EmbedOptions embed = {};
  std::optional<ChunkOptions> chunking = {};  // a vector a chunk instead of a text
  VectorPrecision precision = VectorPrecision::float32;
  VectorRanges ranges = {};  // of int8 and uint8, which need them
  std::string
      format;  // of the vectors: "npy", "jsonl", "parquet" or "safetensors"; empty: npy, of chunks safetensors
  std::string text_column;  // of the texts; empty: one of the usual names ("text", "sentence", ...)
  Progress progress = {};   // in bytes of the files to read
  Warning warning = {};     // may be called from another thread, but never from two at a time
};

struct CorpusResult {
  size_t files = 0;                 // all files of texts
  size_t files_before = 0;          // of these, the ones that earlier runs had done
  uint64_t texts = 0, vectors = 0;  // of all files
  int64_t columns = 0;              // of the vectors, as they are stored
  uint64_t truncated = 0;           // texts that this run truncated
};

// Embeds the texts of every .txt, .tsv, .jsonl, .parquet and .conll file below `input`, which are sorted by their paths.
// Names that begin with "." or "_" are left out. The vectors of `input`/NAME are written to `output`/NAME.FORMAT, one row a text (or chunk),
// in order; a text has the same bits as from Encoder::embed. `output`/corpus.jsonl records the model, the settings and each
// finished file. Texts of several small files run together; reading, computing and writing overlap.
//
// Errors: not_found, io; usage (no such files; `output` holds other files, or vectors of another model or other settings; another
// process writes it; it lies in `input` or holds it; ranges are missing); those of Encoder::embed and embed_chunks,
// with the file. After an error, the files that were finished stay.
CorpusResult embed_corpus(const Encoder& encoder, const std::filesystem::path& input,
                          const std::filesystem::path& output, const CorpusOptions& options = {});

}  // namespace mlxe
