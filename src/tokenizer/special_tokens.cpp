#include "tokenizer/special_tokens.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <set>
#include <tuple>

#include "format/json_file.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

using nlohmann::json;

// SpecialTokensMixin.SPECIAL_TOKENS_ATTRIBUTES, in its order.
constexpr const char* kRoles[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                  "pad_token", "cls_token", "mask_token"};
constexpr const char* kAdditional = "additional_special_tokens";
constexpr const char* kExtra = "extra_special_tokens";

// A special token of a settings file. transformers treats a bare string and a described token differently:
// a bare string never changes an existing token.
struct SpecialToken {
  std::string role;
  AddedToken token;
  bool bare = true;
};

[[noreturn]] void bad_token(const std::string& where, const json& value) {
  throw Error(ErrorCode::format,
              where + " is " + shown(value) + ", expected a token: a string or an object with \"content\"");
}

AddedToken parse_described(const json& value, const std::string& where) {
  const auto content = value.find("content");
  if (content == value.end() || !content->is_string()) bad_token(where, value);
  AddedToken token{.content = content->get<std::string>()};
  const auto flag = [&](const char* key, auto& field) {
    const auto found = value.find(key);
    if (found == value.end() || found->is_null()) return;
    if (!found->is_boolean()) bad_token(where, value);
    field = found->get<bool>();
  };
  flag("single_word", token.single_word);
  flag("lstrip", token.lstrip);
  flag("rstrip", token.rstrip);
  flag("normalized", token.normalized);
  flag("special", token.special);
  return token;
}

SpecialToken parse_special(const std::string& role, const json& value, const std::string& where) {
  if (value.is_string()) return {role, {.content = value.get<std::string>()}, true};
  if (!value.is_object()) bad_token(where + ": " + role, value);
  return {role, parse_described(value, where + ": " + role), false};
}

// Id -> token, as "added_tokens_decoder" of tokenizer_config.json and the backend list them.
std::map<int64_t, AddedToken> parse_by_id(const json& tokens, const std::string& where) {
  std::map<int64_t, AddedToken> result;
  if (!tokens.is_object()) bad_token(where, tokens);
  for (const auto& [key, value] : tokens.items()) {
    int64_t id = 0;
    const auto [end, problem] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (problem != std::errc() || end != key.data() + key.size() || !value.is_object())
      bad_token(where + ": " + printable(key), value);
    result[id] = parse_described(value, where);
  }
  return result;
}

// The tokens of "additional_special_tokens".
json additional_tokens(const json& settings, const char* where) {
  const auto found = settings.find(kAdditional);
  if (found == settings.end() || found->is_null()) return json::array();
  if (!found->is_array())
    throw Error(ErrorCode::format, std::string(where) + ": " + kAdditional + " is " + shown(*found) +
                                       ", expected a list of tokens");
  return *found;
}

// tokenizer_config.json's special tokens, overridden by special_tokens_map.json's (where transformers still
// reads it).
json merged_settings(const TokenizerConfig& config) {
  json merged = config.settings;
  if (config.settings.contains("added_tokens_decoder")) return merged;
  for (const auto& [key, value] : config.special_tokens_map.items()) {
    json read = value;
    if (read.is_object()) read["special"] = true;
    if (key == kAdditional && !read.is_null()) {
      json all = additional_tokens(merged, "tokenizer_config.json");
      read = additional_tokens(config.special_tokens_map, "special_tokens_map.json");
      for (json& token : read) {
        if (token.is_object()) token["special"] = true;
        if (std::find(all.begin(), all.end(), token) == all.end()) all.push_back(token);
      }
      read = std::move(all);
    }
    merged[key] = std::move(read);
  }
  return merged;
}

bool has_sentencepiece_only_defaults(TokenizerFamily family) {
  return family == TokenizerFamily::camembert || family == TokenizerFamily::albert ||
         family == TokenizerFamily::deberta_v2 || family == TokenizerFamily::t5;
}

// The class's default token for a role that its files do not mention.
std::optional<SpecialToken> default_token(TokenizerFamily family, VocabularySource source,
                                          const std::string& role) {
  static const std::map<std::string, std::string> bert{{"unk_token", "[UNK]"},
                                                       {"sep_token", "[SEP]"},
                                                       {"pad_token", "[PAD]"},
                                                       {"cls_token", "[CLS]"},
                                                       {"mask_token", "[MASK]"}};
  static const std::map<std::string, std::string> roberta{
      {"bos_token", "<s>"},   {"eos_token", "</s>"},  {"sep_token", "</s>"},   {"cls_token", "<s>"},
      {"unk_token", "<unk>"}, {"pad_token", "<pad>"}, {"mask_token", "<mask>"}};
  static const std::map<std::string, std::string> gemma{
      {"bos_token", "<bos>"}, {"eos_token", "<eos>"}, {"unk_token", "<unk>"}, {"pad_token", "<pad>"}};
  static const std::map<std::string, std::string> albert{
      {"bos_token", "[CLS]"}, {"eos_token", "[SEP]"}, {"unk_token", "<unk>"},  {"sep_token", "[SEP]"},
      {"pad_token", "<pad>"}, {"cls_token", "[CLS]"}, {"mask_token", "[MASK]"}};
  static const std::map<std::string, std::string> deberta_v2{
      {"bos_token", "[CLS]"}, {"eos_token", "[SEP]"}, {"unk_token", "[UNK]"},  {"sep_token", "[SEP]"},
      {"pad_token", "[PAD]"}, {"cls_token", "[CLS]"}, {"mask_token", "[MASK]"}};
  static const std::map<std::string, std::string> t5{
      {"eos_token", "</s>"}, {"unk_token", "<unk>"}, {"pad_token", "<pad>"}};
  // A tokenizer.json of these is used as it stands.
  if (family == TokenizerFamily::generic ||
      (has_sentencepiece_only_defaults(family) && source == VocabularySource::tokenizer_json))
    return std::nullopt;
  const auto& tokens = family == TokenizerFamily::bert         ? bert
                       : family == TokenizerFamily::gemma      ? gemma
                       : family == TokenizerFamily::albert     ? albert
                       : family == TokenizerFamily::deberta_v2 ? deberta_v2
                       : family == TokenizerFamily::t5         ? t5
                                                               : roberta;
  const auto found = tokens.find(role);
  if (found == tokens.end()) return std::nullopt;
  return SpecialToken{role, {.content = found->second}, true};
}

// Sets the flags of bare tokens as the class's constructors do.
void describe_as_class(SpecialToken& special, TokenizerFamily family, VocabularySource source) {
  if (special.bare && special.role == "mask_token" &&
      (family == TokenizerFamily::roberta || family == TokenizerFamily::xlm_roberta ||
       family == TokenizerFamily::mbart || family == TokenizerFamily::mbart50)) {
    special.token.lstrip = true;  // "<mask>" behaves like a word: it includes the space before it
    if (family == TokenizerFamily::roberta ||
        (family == TokenizerFamily::xlm_roberta && source == VocabularySource::vocabulary_files))
      special.token.normalized = false;
    special.bare = false;
  }
  if (source == VocabularySource::tokenizer_json) return;
  if (special.bare && family == TokenizerFamily::roberta && special.role != kAdditional) special.bare = false;
  const bool is_mask = special.role == "mask_token", is_unknown = special.role == "unk_token";
  if (special.bare && is_mask &&
      (family == TokenizerFamily::camembert || family == TokenizerFamily::albert)) {
    special.token.lstrip = true;
    special.token.normalized = special.bare = false;
  }
  if (special.bare && is_unknown && family == TokenizerFamily::deberta_v2) {
    special.token.normalized = true;
    special.bare = false;
  }
  if (special.bare && family == TokenizerFamily::t5 && special.role != kAdditional)
    special.token.normalized = special.bare = false;
  // The Python class copies its tokens, and a copy has a definite value of this flag.
  if (!special.bare) special.token.normalized = special.token.is_normalized();
}

// "additional_special_tokens", and those that the class's constructor adds.
json additional_of_class(const TokenizerConfig& config, VocabularySource source, const json& settings) {
  json tokens = additional_tokens(settings, "tokenizer_config.json");
  if (source == VocabularySource::tokenizer_json) return tokens;
  if (config.family == TokenizerFamily::camembert && !settings.contains(kAdditional))
    tokens = {"<s>NOTUSED", "</s>NOTUSED", "<unk>NOTUSED"};
  if (config.family == TokenizerFamily::t5) {
    const bool listed = std::ranges::any_of(
        tokens, [](const json& token) { return token.dump().find("<extra_id_") != std::string::npos; });
    for (int64_t i = 0; !listed && i < config.extra_ids; ++i)
      tokens.push_back("<extra_id_" + std::to_string(i) + ">");
  }
  return tokens;
}

std::vector<SpecialToken> special_tokens(const TokenizerConfig& config, VocabularySource source,
                                         const std::map<int64_t, AddedToken>& added) {
  const json settings = merged_settings(config);
  const std::string where = "tokenizer_config.json or special_tokens_map.json";
  std::vector<SpecialToken> result;
  for (const char* role : kRoles) {
    std::optional<SpecialToken> special;
    const auto written = settings.find(role);
    if (written == settings.end()) {
      special = default_token(config.family, source, role);
    } else if (!written->is_null()) {
      special = parse_special(role, *written, where);
      const auto listed = std::find_if(added.begin(), added.end(), [&](const auto& entry) {
        return entry.second.content == special->token.content;
      });
      if (listed != added.end()) special = SpecialToken{role, listed->second, false};
    }
    if (!special) continue;
    describe_as_class(*special, config.family, source);
    result.push_back(*special);
  }
  const auto add_all = [&](const char* role, const json& tokens) {
    for (const auto& [key, value] : tokens.items()) {  // a list, or an object of names to tokens
      SpecialToken special = parse_special(role, value, where);
      describe_as_class(special, config.family, source);
      result.push_back(special);
    }
  };
  add_all(kAdditional, additional_of_class(config, source, settings));
  if (const auto extra = settings.find(kExtra); extra != settings.end() && !extra->is_null()) {
    if (!extra->is_structured())
      throw Error(ErrorCode::format, where + ": " + kExtra + " is " + shown(*extra) +
                                         ", expected a list of tokens or names and tokens");
    add_all(kExtra, *extra);
  }
  std::erase_if(result, [](const SpecialToken& s) { return s.bare && s.token.content.empty(); });
  return result;
}

// The tokens that the settings list by id. If tokenizer_config.json lists none, those of older files and
// tokenizer.json.
std::map<int64_t, AddedToken> listed_tokens(const TokenizerConfig& config, VocabularySource source,
                                            const std::map<int64_t, AddedToken>& in_tokenizer) {
  const auto listed = config.settings.find("added_tokens_decoder");
  if (listed != config.settings.end())
    return parse_by_id(*listed, "tokenizer_config.json: added_tokens_decoder");
  std::map<int64_t, AddedToken> result;
  const json settings = merged_settings(config);
  const json additional = additional_tokens(settings, "tokenizer_config.json");
  for (const auto& [content, id] : config.added_tokens.items()) {
    if (!id.is_number_integer()) bad_token("added_tokens.json: " + printable(content), id);
    const auto is_content = [&, &content = content](const json& value) {
      return value == content || (value.is_object() && value.value("content", json()) == content);
    };
    bool special = false;
    for (const char* role : kRoles) special |= is_content(settings.value(role, json()));
    for (const json& token : additional) special |= is_content(token);
    result[id.get<int64_t>()] = {.content = content, .normalized = !special, .special = special};
  }
  if (source == VocabularySource::tokenizer_json)
    for (const auto& [id, token] : in_tokenizer) result[id] = token;
  return result;
}

}  // namespace

json AddedToken::to_json() const {
  return {{"content", content}, {"single_word", single_word},    {"lstrip", lstrip},
          {"rstrip", rstrip},   {"normalized", is_normalized()}, {"special", special}};
}

bool operator==(const AddedToken& a, const AddedToken& b) {
  const auto fields = [](const AddedToken& t) {
    return std::make_tuple(t.content, t.single_word, t.lstrip, t.rstrip, t.is_normalized(), t.special);
  };
  return fields(a) == fields(b);
}

SpecialTokenPlan plan_special_tokens(const TokenizerConfig& config, VocabularySource source,
                                     const json& already_added) {
  const auto in_tokenizer = parse_by_id(already_added, "tokenizer.json: added_tokens");
  const auto listed = listed_tokens(config, source, in_tokenizer);
  // added_tokens.json alone adds no flags to a role's token.
  const auto& describing = config.settings.contains("added_tokens_decoder") ? listed : in_tokenizer;
  const std::vector<SpecialToken> specials = special_tokens(config, source, describing);

  SpecialTokenPlan plan;
  std::set<std::string> contents;  // of existing tokens and tokens to add
  for (const auto& [id, token] : in_tokenizer) contents.insert(token.content);
  for (const auto& [id, token] : listed) {
    const auto same = [&, &t = token](const auto& entry) { return entry.second == t; };
    if (std::any_of(in_tokenizer.begin(), in_tokenizer.end(), same)) continue;
    plan.to_add.push_back(token);
    contents.insert(token.content);
  }
  std::set<std::string> special_contents;
  const std::vector<AddedToken> from_list = plan.to_add;
  for (const SpecialToken& special : specials) {
    plan.roles.emplace_back(special.role, special.token.content);
    if (!special_contents.insert(special.token.content).second) continue;
    const bool present =
        special.bare ? contents.contains(special.token.content)
                     : std::find(from_list.begin(), from_list.end(), special.token) != from_list.end();
    if (!present) plan.to_add.push_back(special.token);
  }
  for (AddedToken& token : plan.to_add) token.special |= special_contents.contains(token.content);
  return plan;
}

}  // namespace mlxe
