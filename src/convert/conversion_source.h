// The source of a conversion: opened once, shared by all plans made from it.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "convert/carried_files.h"
#include "convert/folder_tokenizer.h"
#include "convert/mlx_embeddings_layout.h"
#include "format/checkpoint.h"
#include "format/folder_stamp.h"
#include "mlx_encoder/convert.h"
#include "models/model.h"

namespace mlxe {

struct ConversionSource {
  // Reads headers and small files of options.model; of the other options only layout and strict matter (under
  // strict the files of a converted folder are hashed). `known`: its tokenizer, if it is loaded already.
  // Errors: those of reading a folder; unsupported (the layout can't hold the model).
  explicit ConversionSource(const ConvertOptions& options, std::optional<FolderTokenizer> known = {});
  ConversionSource(const ConversionSource&) = delete;
  ConversionSource& operator=(const ConversionSource&) = delete;

  std::string folder() const { return checkpoint.folder().string(); }
  // All files that the output depends on, relative to the folder.
  std::vector<std::string> files() const;

  FolderStamp stamp;                  // made before anything was read
  std::vector<std::string> warnings;  // of reading
  Checkpoint checkpoint;
  Model model;
  std::optional<MlxEmbeddingsLayout> mlx_embeddings;  // if that is the layout asked for
  SentenceModules sentence;
  FolderTokenizer tokenizer;
  CarriedFiles small_files;
  // Small files that are written in a form that more readers know: texts by relative path.
  std::map<std::string, std::string> rewritten;

 private:
  Warning warn();
  void read_sentence();
  void check_tokenizer();
  void rewrite_poolings();
  void rewrite_router();
};

}  // namespace mlxe
