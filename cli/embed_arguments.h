// The arguments of `embed`, of a file of texts or of a folder of such files.
#pragma once

#include <optional>
#include <string>

#include "texts.h"
#include "vectors/vector_file.h"

namespace mlxe::cli {

struct EmbedArguments {
  RunOptions run;
  TextSource texts;
  PromptOptions prompt;
  int64_t dimension = 0;
  bool normalize = false;
  std::string precision = "float32";
  std::string ranges, save_ranges;
  std::string output, output_format;
  std::string sparse, tokens;  // files of bge-m3's other vectors
  std::string chunk;
  bool late_chunking = false;

  std::optional<ChunkOptions> chunking() const;  // errors: usage
  bool embeds_all() const { return !sparse.empty() || !tokens.empty(); }
  VectorRows rows() const { return chunk.empty() ? VectorRows::texts : VectorRows::chunks; }
  const char* row_name() const { return chunk.empty() ? "text" : "chunk"; }
  EmbedOptions options() const;
};

// Of a folder of texts. Errors: those of mlxe::embed_corpus; usage (options of a single file).
int embed_corpus(const EmbedArguments& o);

}  // namespace mlxe::cli
