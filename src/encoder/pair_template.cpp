#include "encoder/pair_template.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/utf8.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

using nlohmann::json;

// The prompt of the model card of Qwen3-Reranker, with the instruction that it has by default.
constexpr const char* kQwen3Reranker =
    R"({%- set given = messages | selectattr("role", "eq", "system") | map(attribute="content") | first -%}
{{- "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct provided. Note that the answer can only be \"yes\" or \"no\".<|im_end|>\n<|im_start|>user\n" -}}
{{- "<Instruct>: " -}}
{{- given if given else "Given a web search query, retrieve relevant passages that answer the query" -}}
{{- "\n<Query>: " -}}
{{- messages | selectattr("role", "eq", "query") | map(attribute="content") | first -}}
{{- "\n<Document>: " -}}
{{- messages | selectattr("role", "eq", "document") | map(attribute="content") | first -}}
{{- "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n" -}})";

// What sentence-transformers looks for to tell that a template reads parts.
bool reads_parts(const std::string& jinja) {
  constexpr std::array kSigns{"content[0]", ".type", "'type'", "\"type\"", "message.content["};
  return std::ranges::any_of(kSigns, [&](const char* sign) { return jinja.find(sign) != jinja.npos; });
}

// As apply_chat_template gives them to a template.
json special_tokens(const Tokenizer& tokenizer) {
  json tokens = json::object();
  const SpecialIds& ids = tokenizer.special_ids();
  for (const auto& [role, id] :
       {std::pair("bos_token", ids.bos), std::pair("eos_token", ids.eos), std::pair("unk_token", ids.unk),
        std::pair("sep_token", ids.sep), std::pair("pad_token", ids.pad), std::pair("cls_token", ids.cls),
        std::pair("mask_token", ids.mask)})
    if (id) tokens[role] = tokenizer.token(*id);
  return tokens;
}

json variables_of(const LoadedModel& model, const Tokenizer& tokenizer) {
  json variables = special_tokens(tokenizer);
  variables["tools"] = variables["documents"] = nullptr;
  variables["add_generation_prompt"] = false;
  if (model.sentence.template_variables.is_object()) variables.update(model.sentence.template_variables);
  return variables;
}

void require_utf8(std::string_view text, const char* what) {
  if (const size_t bad = first_invalid_utf8(text); bad != kValidUtf8)
    throw Error(ErrorCode::format, fmt::format("{} is not UTF-8 at byte {}", what, bad));
}

}  // namespace

std::optional<PairTemplate> PairTemplate::find(const LoadedModel& model, const Tokenizer& tokenizer) {
  if (!model.model.is_language_model || !model.model.has(Output::text_logits)) return std::nullopt;
  const json variables = variables_of(model, tokenizer);
  std::string missing;
  if (model.sentence.renders_pairs.value_or(true))
    if (std::optional<ChatTemplate> own = ChatTemplate::find(model.checkpoint.transformer_folder())) {
      const bool parts = model.sentence.has_message_parts.value_or(reads_parts(own->jinja()));
      PairTemplate pairs(*std::move(own), variables, parts);
      missing = pairs.problem();
      if (missing.empty()) return pairs;
    }
  if (!model.model.answers && model.model.labels.size() != 1) return std::nullopt;
  PairTemplate pairs(ChatTemplate(kQwen3Reranker, "the template of Qwen3-Reranker"), variables, false);
  pairs.stands_in_ = true;
  if (!missing.empty()) pairs.missing_ = missing;
  pairs.needs_instruction_ = !model.model.answers;
  return pairs;
}

std::string PairTemplate::problem() const try {
  const std::string text = this->text("alpha", "bravo", "");
  const bool carries =
      text != this->text("charlie", "bravo", "") && text != this->text("alpha", "foxtrot", "");
  return carries ? "" : "the chat template leaves out a query or a document";
} catch (const Error& e) {  // a template that refuses such roles, or is damaged
  return fmt::format("the chat template gives no text for a query and a document ({})", e.what());
}

std::string PairTemplate::text(std::string_view query, std::string_view document,
                               const std::string& instruction) const {
  require_utf8(query, "text");
  require_utf8(document, "second text");
  require_utf8(instruction, "the instruction");
  json messages = json::array();
  const auto add = [&](const char* role, std::string_view text) {
    json content = has_parts_ ? json::array({{{"type", "text"}, {"text", text}}}) : json(text);
    messages.push_back({{"role", role}, {"content", std::move(content)}});
  };
  if (!instruction.empty()) add("system", instruction);
  add("query", query);
  add("document", document);
  json variables = variables_;
  variables["messages"] = std::move(messages);
  return chat_.render(variables);
}

std::vector<int32_t> PairTemplate::suffix(const Tokenizer& tokenizer, const std::string& instruction) const {
  const auto ids = [&](const char* filler) {
    return tokenizer.encode(text(filler, filler, instruction), EncodeOptions{.add_special_tokens = false})
        .ids;
  };
  const std::vector<int32_t> one = ids("0"), other = ids("1 2 3 4");
  const auto [differs, unused] = std::mismatch(one.rbegin(), one.rend(), other.rbegin(), other.rend());
  if (differs == one.rend()) return {};
  return {differs.base(), one.end()};
}

}  // namespace mlxe
