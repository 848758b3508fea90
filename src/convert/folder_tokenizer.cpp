#include "convert/folder_tokenizer.h"

#include "format/module_path.h"

namespace mlxe {

void FolderTokenizer::require_loaded() const {
  if (state != State::loaded) throw Error(code, why);
}

void FolderTokenizer::require_unbroken() const {
  if (state == State::broken) throw Error(code, why);
}

FolderTokenizer load_folder_tokenizer(const std::filesystem::path& folder) try {
  return {.state = FolderTokenizer::State::loaded,
          .tokenizer = std::make_shared<const Tokenizer>(Tokenizer::load(folder, {})),
          .why = {}};
} catch (const Error& error) {
  using State = FolderTokenizer::State;
  const bool none = error.code() == ErrorCode::not_found;
  const bool foreign = error.code() == ErrorCode::unsupported &&
                       !std::filesystem::exists(folder / transformer_path(folder) / "tokenizer.json");
  return {.state = none      ? State::none
                   : foreign ? State::foreign
                             : State::broken,
          .tokenizer = {},
          .code = error.code(),
          .why = error.what()};
}

}  // namespace mlxe
