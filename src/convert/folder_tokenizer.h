// The tokenizer of a model folder, loaded once.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "mlx_encoder/error.h"
#include "tokenizer/tokenizer.h"

namespace mlxe {

struct FolderTokenizer {
  enum class State {
    loaded,
    none,
    foreign,  // only files that this program can't read: Gemma's tokenizer.model without tokenizer.json
    broken,   // a file is damaged or of an unknown kind
  };
  State state = State::none;
  std::shared_ptr<const Tokenizer> tokenizer;  // if loaded
  ErrorCode code = ErrorCode::not_found;       // the error of loading it, unless loaded
  std::string why;                             // that error's sentence

  // Errors: `code` with `why`.
  void require_loaded() const;
  void require_unbroken() const;
};

// Loads the tokenizer as a run does.
FolderTokenizer load_folder_tokenizer(const std::filesystem::path& folder);

}  // namespace mlxe
