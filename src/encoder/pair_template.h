// How a reranker that is a language model reads a query and a document: as one text, made by a chat template.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "encoder/model_loader.h"
#include "tokenizer/chat_template.h"
#include "tokenizer/tokenizer.h"

namespace mlxe {

class PairTemplate {
 public:
  // The folder's own, if it renders messages of the roles "query" and "document", as sentence-transformers' CrossEncoder
  // asks for. Else that of the model card of Qwen3-Reranker: for a language model, which knows pairs in no other way,
  // and for a sequence classifier of the family that has one label, but there only with an instruction. Else none: a
  // pair is two texts for the tokenizer. Errors: format (the folder's template is wrong).
  static std::optional<PairTemplate> find(const LoadedModel& model, const Tokenizer& tokenizer);

  // Whether the template of the model card stands in for the folder's.
  bool is_stand_in() const noexcept { return stands_in_; }
  // Why the folder's own is not used, for a message.
  const std::string& missing() const noexcept { return missing_; }
  // Whether pairs without an instruction are two texts for the tokenizer.
  bool needs_instruction() const noexcept { return needs_instruction_; }

  // `instruction`: what makes a document relevant; empty: the template's own. Errors: format (a text is not UTF-8).
  std::string text(std::string_view query, std::string_view document, const std::string& instruction) const;

  // The tokens with which the template ends, whatever the texts. A text that is truncated ends with them, too.
  std::vector<int32_t> suffix(const Tokenizer& tokenizer, const std::string& instruction) const;

 private:
  PairTemplate(ChatTemplate chat, nlohmann::json variables, bool has_parts)
      : chat_(std::move(chat)), variables_(std::move(variables)), has_parts_(has_parts) {}

  // Why both texts do not reach the result; empty if they do.
  std::string problem() const;

  ChatTemplate chat_;
  nlohmann::json variables_;  // special tokens and the folder's own
  bool has_parts_;            // whether messages hold their text in a list of parts
  std::string missing_ = "no chat template for a query and a document";
  bool stands_in_ = false, needs_instruction_ = false;
};

}  // namespace mlxe
