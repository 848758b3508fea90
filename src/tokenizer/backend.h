// One tokenizer of the Rust crate, as C++ values.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "tokenizer/tokenizer.h"

struct MlxeTokenizer;

namespace mlxe {

enum class CutFrom { end, beginning };

// Move-only; const functions may be called from many threads at once.
class TokenizerBackend {
 public:
  // `json` is the text of a tokenizer.json, `where` its name in errors and warnings.
  // Errors: format, unsupported.
  TokenizerBackend(std::string_view json, const std::string& where, const Warning& warning);

  // {"normalizer", "pre_tokenizer", "post_processor", "added_tokens": {id: token}, "vocab_size",
  //  "truncation_side": "left", "right" or null, "marks_subwords": bool}
  nlohmann::json describe() const;
  // As a tokenizer.json.
  std::string tokenizer_json() const;
  // Replaces parts and adds tokens: see mlxe_tokenizer_change. Errors: format.
  void change(const nlohmann::json& change);

  // The windows of a text; one without a stride.
  std::vector<Encoding> encode(std::string_view text, std::optional<std::string_view> pair,
                               const EncodeOptions& options, CutFrom cut_from) const;
  std::string decode(std::span<const int32_t> ids, SpecialTokens special) const;
  std::optional<int32_t> id(std::string_view token) const;
  std::optional<std::string> token(int32_t id) const;

 private:
  struct Free {
    void operator()(MlxeTokenizer* tokenizer) const noexcept;
  };
  std::unique_ptr<MlxeTokenizer, Free> tokenizer_;
  std::string where_;
};

}  // namespace mlxe
