#include "format/gguf_vocabulary.h"

#include <fmt/format.h>

#include <algorithm>

namespace mlxe {
namespace {

constexpr const char* kTokens = "tokenizer.ggml.tokens";

std::vector<double> of_each_token(const GgufFile& file, const char* key, size_t tokens, double otherwise) {
  auto values = file.numbers(key);
  if (!values) return std::vector<double>(tokens, otherwise);
  if (values->size() != tokens)
    file.malformed(fmt::format("\"{}\" has {} values for {} tokens", key, values->size(), tokens));
  return std::move(*values);
}

}  // namespace

bool GgufToken::fills_a_gap() const {
  std::string_view name = text;
  if (name.starts_with("\u2581")) name.remove_prefix(3);
  if (kind != GgufTokenKind::unused || !name.starts_with("[PAD") || !name.ends_with("]") || name.size() < 6)
    return false;
  return name.substr(4, name.size() - 5).find_first_not_of("0123456789") == name.npos;
}

GgufVocabulary GgufVocabulary::read(const GgufFile& file) {
  GgufVocabulary made;
  auto texts = file.texts(kTokens);
  if (!texts || texts->empty()) file.malformed(fmt::format("has no \"{}\"", kTokens));
  const size_t count = texts->size();
  const std::vector<double> kinds = of_each_token(file, "tokenizer.ggml.token_type", count, 1),
                            scores = of_each_token(file, "tokenizer.ggml.scores", count, 0);
  for (size_t i = 0; i < count; ++i) {
    const bool known = kinds[i] >= 1 && kinds[i] <= 6;
    made.tokens.push_back(
        {std::move((*texts)[i]),
         known ? static_cast<GgufTokenKind>(static_cast<int>(kinds[i])) : GgufTokenKind::normal, scores[i]});
  }
  const auto id = [&](const char* name) {
    const std::string key = fmt::format("tokenizer.ggml.{}_token_id", name);
    const auto value = file.integer(key);
    if (value && (*value < 0 || *value >= static_cast<int64_t>(count)))
      file.malformed(fmt::format("\"{}\" is {}, expected an id below {}", key, *value, count));
    return value;
  };
  made.bos = id("bos");
  made.eos = id("eos");
  made.cls = id("cls");
  made.sep = id("seperator");  // as GGUF spells it
  made.pad = id("padding");
  made.mask = id("mask");
  made.unknown = id("unknown");
  const std::string model = file.text("tokenizer.ggml.model").value_or("");
  made.adds_first = file.flag("tokenizer.ggml.add_bos_token").value_or(model == "t5");
  made.adds_last = file.flag("tokenizer.ggml.add_eos_token").value_or(model == "t5");
  return made;
}

std::optional<int64_t> GgufVocabulary::find(std::string_view text) const {
  const auto found = std::ranges::find(tokens, text, &GgufToken::text);
  return found == tokens.end() ? std::nullopt : std::optional<int64_t>(found - tokens.begin());
}

nlohmann::json GgufVocabulary::added_tokens(std::string_view strips) const {
  nlohmann::json added = nlohmann::json::array();
  for (size_t i = 0; i < tokens.size(); ++i) {
    const GgufToken& token = tokens[i];
    const bool special =
        token.kind == GgufTokenKind::control ||
        (unknown && static_cast<size_t>(*unknown) == i && token.kind == GgufTokenKind::unknown);
    if ((!special && token.kind != GgufTokenKind::user) || token.text.empty()) continue;
    added.push_back({{"id", i},
                     {"content", token.text},
                     {"single_word", false},
                     {"lstrip", token.text == strips},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", special}});
  }
  return added;
}

}  // namespace mlxe
