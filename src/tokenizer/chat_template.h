// The template by which a folder puts messages into one text, as transformers' apply_chat_template renders it.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace mlxe {

class ChatTemplate {
 public:
  // `jinja`: the template; `where`: its name in errors.
  ChatTemplate(std::string jinja, std::string where) : jinja_(std::move(jinja)), where_(std::move(where)) {}

  // chat_template.jinja, or "chat_template" of tokenizer_config.json: the one, or of several the one named "default".
  // `folder`: the tokenizer's. Errors: io, format.
  static std::optional<ChatTemplate> find(const std::filesystem::path& folder);

  const std::string& jinja() const noexcept { return jinja_; }

  // `variables`: an object. Errors: format (the template is wrong, or refuses the messages).
  std::string render(const nlohmann::json& variables) const;

 private:
  std::string jinja_, where_;
};

}  // namespace mlxe
