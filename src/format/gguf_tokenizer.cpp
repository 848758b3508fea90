#include "format/gguf_tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/base64.h"
#include "format/gguf_config.h"
#include "format/gguf_vocabulary.h"
#include "format/json_file.h"

namespace mlxe {
namespace {

using nlohmann::json;

constexpr std::string_view kSpaceMark = "\u2581";  // before the first piece of a word

json template_of(const GgufVocabulary& v, std::optional<int64_t> first, std::optional<int64_t> last,
                 const char* pair) {
  json special = json::object();
  // `form`: f and l for those tokens, A and B for the texts, each with its type: "f0 A0 l0".
  const auto pieces = [&](std::string_view form) {
    json all = json::array();
    for (size_t i = 0; i < form.size(); i += 3) {
      const int type = form[i + 1] - '0';
      if (form[i] == 'A' || form[i] == 'B') {
        all.push_back({{"Sequence", {{"id", std::string(1, form[i])}, {"type_id", type}}}});
        continue;
      }
      const std::optional<int64_t> id = form[i] == 'f' ? first : last;
      if (!id) continue;
      const std::string& token = v.text(*id);
      all.push_back({{"SpecialToken", {{"id", token}, {"type_id", type}}}});
      special[token] = {{"id", token}, {"ids", {*id}}, {"tokens", {token}}};
    }
    return all;
  };
  json single = pieces("f0 A0 l0"), both = pieces(pair);
  return {{"type", "TemplateProcessing"},
          {"single", std::move(single)},
          {"pair", std::move(both)},
          {"special_tokens", std::move(special)}};
}

// The token that is added on one side of a text: of these roles, the first that the file has.
std::optional<int64_t> added_token(const GgufFile& file, bool adds, const char* side,
                                   std::initializer_list<std::optional<int64_t>> roles) {
  if (!adds) return std::nullopt;
  for (const auto& id : roles)
    if (id) return id;
  file.malformed(fmt::format("says that a token is added {} each text, but not which", side));
}

void add_roles(json& config, const GgufVocabulary& v) {
  for (const auto& [name, id] :
       {std::pair("bos_token", v.bos), std::pair("eos_token", v.eos), std::pair("cls_token", v.cls),
        std::pair("sep_token", v.sep), std::pair("pad_token", v.pad), std::pair("mask_token", v.mask),
        std::pair("unk_token", v.unknown)})
    if (id) config[name] = v.text(*id);
}

constexpr const char* kFairseqPair = "f0 A0 l0 l0 B0 l0";

// Roles that the file does not state, by the names that all vocabularies of RoBERTa and XLM-RoBERTa have.
void name_roles_of_fairseq(GgufVocabulary& v) {
  for (auto [id, text] : {std::pair(&v.bos, "<s>"), std::pair(&v.pad, "<pad>"), std::pair(&v.eos, "</s>"),
                          std::pair(&v.unknown, "<unk>"), std::pair(&v.mask, "<mask>")})
    if (!*id) *id = v.find(text);
}

// As TemplateProcessing of kFairseqPair, and without the spaces of a token in its offsets.
json roberta_processing(const GgufVocabulary& v, int64_t first, int64_t last) {
  return {{"type", "RobertaProcessing"},
          {"sep", json::array({v.text(last), last})},
          {"cls", json::array({v.text(first), first})},
          {"trim_offsets", true},
          {"add_prefix_space", false}};
}

json tokenizer_text(json added, json normalizer, json pre_tokenizer, json post_processor, json decoder,
                    json model) {
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", std::move(added)},
          {"normalizer", std::move(normalizer)},
          {"pre_tokenizer", std::move(pre_tokenizer)},
          {"post_processor", std::move(post_processor)},
          {"decoder", std::move(decoder)},
          {"model", std::move(model)}};
}

// ---- WordPiece

// The converter puts a mark before the first pieces of words and takes "##" from the others.
std::string wordpiece(const GgufToken& token) {
  const std::string& text = token.text;
  if (token.kind == GgufTokenKind::control || token.kind == GgufTokenKind::unknown) return text;
  if (text.starts_with(kSpaceMark)) return text.substr(kSpaceMark.size());
  // Older converters left "[unused0]" as it is.
  if (text.size() > 2 && text.starts_with('[') && text.ends_with(']')) return text;
  return "##" + text;
}

bool has_upper_case(const GgufToken& token) {
  if (token.kind != GgufTokenKind::normal || token.text.find('[') != std::string::npos) return false;
  return std::ranges::any_of(token.text, [](char c) { return c >= 'A' && c <= 'Z'; });
}

GgufTokenizer wordpiece_tokenizer(const GgufFile& file, const Warning& warn) {
  GgufVocabulary v = GgufVocabulary::read(file);
  const auto twice_marked = std::ranges::count_if(v.tokens, [](const GgufToken& token) {
    return token.text.starts_with(std::string(kSpaceMark) + std::string(kSpaceMark));
  });
  constexpr int64_t kMostOfTheMark = 100;  // a vocabulary may have the mark itself
  if (twice_marked > kMostOfTheMark)
    file.unsupported(
        "holds a SentencePiece vocabulary stored as WordPiece, which is no tokenizer; convert the model "
        "again with a current llama.cpp");
  json vocabulary = json::object();
  for (size_t i = 0; i < v.tokens.size(); ++i) {
    if (v.tokens[i].fills_a_gap()) continue;
    v.tokens[i].text = wordpiece(v.tokens[i]);
    vocabulary[v.tokens[i].text] = i;
  }
  if (!v.cls) v.cls = v.bos ? v.bos : v.find("[CLS]");
  if (!v.sep) v.sep = v.eos ? v.eos : v.find("[SEP]");
  if (!v.unknown) v.unknown = v.find("[UNK]");
  if (!v.pad) v.pad = v.find("[PAD]");
  if (!v.mask) v.mask = v.find("[MASK]");
  v.bos.reset();  // names of the same tokens that a BERT does not have
  v.eos.reset();
  if (!v.unknown) file.malformed("has no unknown token, which a WordPiece tokenizer needs");

  constexpr const char* kLowerCase = "tokenizer.ggml.normalizer.lowercase";
  auto lower_case = file.flag(kLowerCase);
  if (!lower_case) {
    lower_case = std::ranges::none_of(v.tokens, has_upper_case);
    if (warn && !*lower_case)
      warn(fmt::format("{}: has no \"{}\"; the vocabulary has upper case, so texts keep theirs", file.where,
                       kLowerCase));
  }
  const auto strip_accents = file.flag("tokenizer.ggml.normalizer.strip_accents");
  const json accents = strip_accents ? json(*strip_accents) : json(nullptr);
  // As llama.cpp, whatever the file's flags say.
  constexpr const char* kAddsFirst = "tokenizer.ggml.add_bos_token";
  if (warn && !file.flag(kAddsFirst).value_or(true))
    warn(
        fmt::format("{}: \"{}\" is false, which is ignored, as llama.cpp does: a WordPiece tokenizer adds "
                    "tokens on both sides of a text",
                    file.where, kAddsFirst));
  const auto first = added_token(file, true, "before", {v.cls}),
             last = added_token(file, true, "after", {v.sep});
  GgufTokenizer made;
  made.json = tokenizer_text(v.added_tokens(""),
                             {{"type", "BertNormalizer"},
                              {"clean_text", true},
                              {"handle_chinese_chars", true},
                              {"strip_accents", accents},
                              {"lowercase", *lower_case}},
                             {{"type", "BertPreTokenizer"}}, template_of(v, first, last, "f0 A0 l0 B1 l1"),
                             {{"type", "WordPiece"}, {"prefix", "##"}, {"cleanup", true}},
                             {{"type", "WordPiece"},
                              {"unk_token", v.text(*v.unknown)},
                              {"continuing_subword_prefix", "##"},
                              {"max_input_chars_per_word", 100},
                              {"vocab", std::move(vocabulary)}});
  made.config = {{"tokenizer_class", "BertTokenizer"},
                 {"do_lower_case", *lower_case},
                 {"strip_accents", accents},
                 {"tokenize_chinese_chars", true}};
  add_roles(made.config, v);
  return made;
}

// ---- byte-level BPE

json byte_level(bool splits) {
  return {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", splits}};
}

json split_and_bytes(const char* pattern) {
  const json split{
      {"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}, {"invert", false}};
  return {{"type", "Sequence"}, {"pretokenizers", {split, byte_level(false)}}};
}

constexpr const char* kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

// How a tokenizer splits texts, by "tokenizer.ggml.pre".
struct Splitting {
  std::string_view name;
  const char* pattern;     // nullptr: GPT-2's
  bool composes;           // normalizes to NFC
  const char* class_name;  // of the tokenizer
  const char* pair;        // see template_of
  const char* mask;        // the token that takes the spaces before it
};
constexpr const char* kPlainPair = "f0 A0 l0 B0 l0";
constexpr const char* kOpenPair = "f0 A0 B0 l0";
constexpr const char* kAny = "PreTrainedTokenizerFast";
constexpr Splitting kSplittings[] = {
    {"gpt-2", nullptr, false, kAny, kFairseqPair, "<mask>"},
    {"roberta-bpe", nullptr, false, "RobertaTokenizer", kFairseqPair, "<mask>"},
    {"jina-v1-en", nullptr, false, "RobertaTokenizer", kFairseqPair, "<mask>"},
    {"jina-v2-code", nullptr, false, "RobertaTokenizer", kFairseqPair, "<mask>"},
    {"jina-v2-es", nullptr, false, "RobertaTokenizer", kFairseqPair, "<mask>"},
    {"jina-v2-de", nullptr, false, "RobertaTokenizer", kFairseqPair, "<mask>"},
    {"jina-es", nullptr, false, "RobertaTokenizer", kFairseqPair, "<mask>"},
    {"jina-de", nullptr, false, "RobertaTokenizer", kFairseqPair, "<mask>"},
    {"modern-bert", nullptr, true, kAny, kPlainPair, "[MASK]"},
    {"qwen2", kQwen2, true, "Qwen2Tokenizer", kOpenPair, ""},
    {"f2llmv2", kQwen2, true, "Qwen2Tokenizer", kOpenPair, ""},
};

json merges_of(const GgufFile& file) {
  const auto lines = file.texts("tokenizer.ggml.merges");
  if (!lines) file.malformed("has no \"tokenizer.ggml.merges\", which byte-level BPE needs");
  json merges = json::array();
  for (const std::string& line : *lines) {
    const size_t space = line.find(' ', 1);
    if (space == line.npos || space + 1 == line.size())
      file.malformed(fmt::format("the merge {} is not two tokens", printable(line)));
    merges.push_back(json::array({line.substr(0, space), line.substr(space + 1)}));
  }
  return merges;
}

json normalizer_of(const GgufFile& file, bool composes) {
  json steps = json::array();
  if (composes) steps.push_back({{"type", "NFC"}});
  if (file.flag("tokenizer.ggml.normalizer.strip_accents").value_or(false)) {
    steps.push_back({{"type", "NFD"}});
    steps.push_back({{"type", "StripAccents"}});
  }
  if (file.flag("tokenizer.ggml.normalizer.lowercase").value_or(false))
    steps.push_back({{"type", "Lowercase"}});
  if (steps.empty()) return nullptr;
  if (steps.size() == 1) return steps[0];
  return {{"type", "Sequence"}, {"normalizers", std::move(steps)}};
}

GgufTokenizer bpe_tokenizer(const GgufFile& file, const Warning&) {
  const std::string pre = file.text("tokenizer.ggml.pre").value_or("default");
  const auto* splitting = std::ranges::find(kSplittings, pre, &Splitting::name);
  if (splitting == std::end(kSplittings))
    file.unsupported(
        fmt::format("\"tokenizer.ggml.pre\" is {}, a way of splitting texts that this version does not "
                    "know",
                    printable(pre)));
  GgufVocabulary v = GgufVocabulary::read(file);
  json vocabulary = json::object();
  for (size_t i = 0; i < v.tokens.size(); ++i)
    if (!v.tokens[i].fills_a_gap() && !v.tokens[i].text.empty()) vocabulary[v.tokens[i].text] = i;
  if (splitting->pair == kFairseqPair) name_roles_of_fairseq(v);
  const auto first = added_token(file, v.adds_first, "before", {v.bos, v.cls}),
             last = added_token(file, v.adds_last, "after", {v.eos, v.sep});
  GgufTokenizer made;
  made.json = tokenizer_text(v.added_tokens(splitting->mask), normalizer_of(file, splitting->composes),
                             splitting->pattern ? split_and_bytes(splitting->pattern) : byte_level(true),
                             first && last && splitting->pair == kFairseqPair
                                 ? roberta_processing(v, *first, *last)
                                 : template_of(v, first, last, splitting->pair),
                             byte_level(true),
                             {{"type", "BPE"},
                              {"dropout", nullptr},
                              {"unk_token", nullptr},
                              {"continuing_subword_prefix", nullptr},
                              {"end_of_word_suffix", nullptr},
                              {"fuse_unk", false},
                              {"byte_fallback", false},
                              {"ignore_merges", false},
                              {"vocab", std::move(vocabulary)},
                              {"merges", merges_of(file)}});
  made.config = {{"tokenizer_class", splitting->class_name}};
  add_roles(made.config, v);
  return made;
}

// ---- Unigram

json metaspace() {
  return {{"type", "Metaspace"}, {"replacement", kSpaceMark}, {"prepend_scheme", "always"}, {"split", true}};
}

GgufTokenizer unigram_tokenizer(const GgufFile& file, const Warning&) {
  GgufVocabulary v = GgufVocabulary::read(file);
  // Without a meaning: the converter takes them from settings that XLM-RoBERTa's tokenizer does not heed.
  for (const char* key : {"add_space_prefix", "remove_extra_whitespaces"})
    file.find(fmt::format("tokenizer.ggml.{}", key));
  name_roles_of_fairseq(v);
  if (!v.unknown) file.malformed("has no unknown token, which a Unigram tokenizer needs");
  // Converters that read a SentencePiece model leave out the mask, the last token.
  GgufToken& final = v.tokens.back();
  if (!v.find("<mask>") && final.fills_a_gap()) {
    final = {"<mask>", GgufTokenKind::control, 0};
    v.mask = static_cast<int64_t>(v.tokens.size()) - 1;
  }
  json pieces = json::array();
  for (const GgufToken& token : v.tokens) pieces.push_back(json::array({token.text, token.score}));
  json steps = json::array();
  if (const GgufValue* map = file.find("tokenizer.ggml.precompiled_charsmap")) {
    const auto* bytes = std::get_if<GgufArray>(&map->value);
    if (bytes == nullptr || bytes->bytes.size() != bytes->count)
      file.malformed("\"tokenizer.ggml.precompiled_charsmap\" is no array of bytes");
    steps.push_back({{"type", "Precompiled"}, {"precompiled_charsmap", base64(bytes->bytes)}});
  }
  // As transformers makes them of XLM-RoBERTa's SentencePiece model.
  steps.push_back({{"type", "Strip"}, {"strip_left", false}, {"strip_right", true}});
  steps.push_back({{"type", "Replace"}, {"pattern", {{"Regex", " {2,}"}}}, {"content", kSpaceMark}});
  const auto first = added_token(file, v.adds_first, "before", {v.bos, v.cls}),
             last = added_token(file, v.adds_last, "after", {v.eos, v.sep});
  GgufTokenizer made;
  made.json = tokenizer_text(
      v.added_tokens("<mask>"), {{"type", "Sequence"}, {"normalizers", std::move(steps)}}, metaspace(),
      template_of(v, first, last, kFairseqPair), metaspace(),
      {{"type", "Unigram"}, {"unk_id", *v.unknown}, {"vocab", std::move(pieces)}, {"byte_fallback", false}});
  made.config = {{"tokenizer_class", "XLMRobertaTokenizer"}};
  add_roles(made.config, v);
  return made;
}

struct TokenizerKind {
  std::string_view model;
  GgufTokenizer (*read)(const GgufFile& file, const Warning& warn);
};
constexpr TokenizerKind kTokenizers[] = {
    {"bert", wordpiece_tokenizer}, {"gpt2", bpe_tokenizer}, {"t5", unigram_tokenizer}};

}  // namespace

GgufTokenizer gguf_tokenizer(const GgufFile& file, const Warning& warn) {
  const std::string model = file.text("tokenizer.ggml.model").value_or("none");
  file.find("tokenizer.ggml.pre");  // says something of "gpt2" alone
  const auto* kind = std::ranges::find(kTokenizers, model, &TokenizerKind::model);
  if (kind == std::end(kTokenizers))
    file.unsupported(
        fmt::format("\"tokenizer.ggml.model\" is {}; this version makes tokenizers of \"bert\", \"gpt2\" "
                    "and \"t5\"",
                    printable(model)));
  GgufTokenizer made = kind->read(file, warn);
  if (const auto context = gguf_context(file); context && *context > 0)
    made.config["model_max_length"] = *context;
  return made;
}

}  // namespace mlxe
