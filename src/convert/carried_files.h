// The small files of a model folder that a conversion copies byte for byte, and whether they load.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "format/model_folder.h"
#include "format/sentence_modules.h"

namespace mlxe {

struct CarriedFile {
  std::filesystem::path from, to;  // relative to the source and to the written folder

  bool operator==(const CarriedFile&) const = default;
  bool operator<(const CarriedFile& other) const { return to < other.to; }
};

struct CarriedFiles {
  std::vector<CarriedFile> carried;                // sorted
  std::vector<std::filesystem::path> left_behind;  // files and folders at the top that are not, sorted
};

// Carried: the tokenizer's files, those of the sentence-transformers modules, every other JSON, licences.
// Never: weights and their index (a stale index makes loaders look for shards that are gone), config.json,
// README.md and mlx_encoder*.json, which are written anew, nor the chart of an allocation. Of a transformer
// in a folder of its own the files go to the written folder itself.
CarriedFiles find_carried_files(const std::filesystem::path& folder, const SentenceModules& sentence);

// What a run will find of the folder's tokenizer.
struct CarriedTokenizer {
  enum class State {
    loads,
    none,
    foreign,  // only files this program leaves to others, a SentencePiece model without tokenizer.json
  };
  State state = State::loads;
  std::string why;  // of none and foreign: one sentence
};
// Loads it, as a run does. Errors: io, format (a file that is no JSON, is cut off or says what can't be),
// unsupported (a tokenizer.json of an unknown kind).
CarriedTokenizer load_carried_tokenizer(const std::filesystem::path& folder);

// Loads a folder as a run does: model, modules and, if `tokenizer` says that it loads, the tokenizer; binds
// all weights to an engine. Errors: what a run would end with.
void load_as_a_run(const std::filesystem::path& folder, const CarriedTokenizer& tokenizer);

// Errors: io, not_found.
void copy_files(const std::filesystem::path& from, const std::filesystem::path& to,
                const std::vector<CarriedFile>& files);

}  // namespace mlxe
