#include "tokenizer/sentencepiece.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <sstream>
#include <utility>

#include "base/mapped_file.h"
#include "format/json_file.h"
#include "mlx_encoder/error.h"
#include "rust/mlxe_rust.h"
#include "rust/rust_string.h"

namespace mlxe {
namespace {

using nlohmann::json;

// Kinds of pieces and of models in sentencepiece_model.proto.
constexpr int kControl = 3, kUserDefined = 4;
constexpr int kUnigram = 1;

constexpr const char* kWordBegin = "\u2581";

struct Model {
  json pieces;  // [text, score, kind]
  std::string charsmap;
  int64_t unknown = 0;
};

// How a class makes a tokenizer of a model.
struct Converter {
  const char* class_name;
  const char* file;
  json (*vocabulary)(const Model& model, const TokenizerConfig& config);  // [token, score]
  json (*normalizer)(const Model& model, const TokenizerConfig& config);
  int64_t unknown;     // id of the unknown token; -1: the model's own
  const char* single;  // a text and a pair with their special tokens: "token:type"
  const char* pair;
};

json replace(json pattern, const char* content) {
  return {{"type", "Replace"}, {"pattern", std::move(pattern)}, {"content", content}};
}
json several_spaces_become(const char* content) {
  return replace({{"Regex", " {2,}"}}, content);
}
json text_becomes(const char* text, const char* content) {
  return replace({{"String", text}}, content);
}
json precompiled(const Model& model) {
  return {{"type", "Precompiled"}, {"precompiled_charsmap", model.charsmap}};
}
json sequence(json steps) {
  return {{"type", "Sequence"}, {"normalizers", std::move(steps)}};
}

void append(json& vocabulary, const json& pieces, size_t first) {
  for (size_t i = first; i < pieces.size(); ++i) vocabulary.push_back({pieces[i][0], pieces[i][1]});
}

json own_vocabulary(const Model& model, const TokenizerConfig&) {
  json all = json::array();
  append(all, model.pieces, 0);
  return all;
}

// Pieces with their scores. (A list of such pairs in braces would be an object.)
json scored(std::initializer_list<std::pair<const char*, double>> pieces) {
  json all = json::array();
  for (const auto& [piece, score] : pieces) all.push_back(json::array({piece, score}));
  return all;
}

// As fairseq numbers tokens: four of its own in place of the model's first three, and a mask at the end.
json xlm_roberta_vocabulary(const Model& model, const TokenizerConfig&) {
  json all = scored({{"<s>", 0}, {"<pad>", 0}, {"</s>", 0}, {"<unk>", 0}});
  append(all, model.pieces, 3);
  all.push_back({"<mask>", 0.0});
  return all;
}

json camembert_vocabulary(const Model& model, const TokenizerConfig&) {
  json all =
      scored({{"<s>NOTUSED", 0}, {"<pad>", 0}, {"</s>NOTUSED", 0}, {"<unk>", 0}, {"<unk>NOTUSED", -100}});
  append(all, model.pieces, 1);
  all.push_back({"<mask>", 0.0});
  return all;
}

// Pieces that end in a digit and a comma are avoided.
json albert_vocabulary(const Model& model, const TokenizerConfig& config) {
  json all = own_vocabulary(model, config);
  for (json& entry : all) {
    const std::string& piece = entry[0].get_ref<const std::string&>();
    const size_t n = piece.size();
    const bool number = n >= 2 && piece[n - 1] == ',' && piece[n - 2] >= '0' && piece[n - 2] <= '9';
    if (number) entry[1] = entry[1].get<double>() - 100;
  }
  return all;
}

json t5_vocabulary(const Model& model, const TokenizerConfig& config) {
  json all = own_vocabulary(model, config);
  for (int64_t i = config.extra_ids; i-- > 0;) all.push_back({fmt::format("<extra_id_{}>", i), 0.0});
  return all;
}

json plain_normalizer(const Model& model, const TokenizerConfig&) {
  json steps = json::array();
  if (!model.charsmap.empty()) steps.push_back(precompiled(model));
  steps.push_back({{"type", "Strip"}, {"strip_left", false}, {"strip_right", true}});
  steps.push_back(several_spaces_become(kWordBegin));
  return sequence(std::move(steps));
}

json deberta_v2_normalizer(const Model& model, const TokenizerConfig& config) {
  json steps = json::array();
  if (config.do_lower_case) steps.push_back({{"type", "Lowercase"}});
  steps.push_back({{"type", "Strip"}, {"strip_left", true}, {"strip_right", true}});
  if (!model.charsmap.empty()) steps.push_back(precompiled(model));
  steps.push_back(several_spaces_become(" "));
  return sequence(std::move(steps));
}

json albert_normalizer(const Model& model, const TokenizerConfig& config) {
  json steps = {text_becomes("``", "\""), text_becomes("''", "\"")};
  if (!config.keep_accents) {
    steps.push_back({{"type", "NFKD"}});
    steps.push_back({{"type", "StripAccents"}});
  }
  if (config.do_lower_case) steps.push_back({{"type", "Lowercase"}});
  if (!model.charsmap.empty()) steps.push_back(precompiled(model));
  steps.push_back(several_spaces_become(" "));
  return sequence(std::move(steps));
}

constexpr const char* kFairseqText = "<s>:0 $A:0 </s>:0";
constexpr const char* kFairseqPair = "<s>:0 $A:0 </s>:0 </s>:0 $B:0 </s>:0";
constexpr const char* kBertText = "[CLS]:0 $A:0 [SEP]:0";
constexpr const char* kBertPair = "[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1";

constexpr std::array kConverters{
    Converter{"XLMRobertaTokenizer", "sentencepiece.bpe.model", xlm_roberta_vocabulary, plain_normalizer, 3,
              kFairseqText, kFairseqPair},
    Converter{"CamembertTokenizer", "sentencepiece.bpe.model", camembert_vocabulary, plain_normalizer, 3,
              kFairseqText, kFairseqPair},
    Converter{"DebertaV2Tokenizer", "spm.model", own_vocabulary, deberta_v2_normalizer, -1, kBertText,
              kBertPair},
    Converter{"AlbertTokenizer", "spiece.model", albert_vocabulary, albert_normalizer, -1, kBertText,
              kBertPair},
    Converter{"T5Tokenizer", "spiece.model", t5_vocabulary, plain_normalizer, -1, "$A:0 </s>:0",
              "$A:0 </s>:0 $B:0 </s>:0"},
};

const Converter* converter_of(const TokenizerConfig& config) {
  const auto* found = std::ranges::find(kConverters, config.class_name,
                                        [](const Converter& c) { return std::string_view(c.class_name); });
  return found == kConverters.end() ? nullptr : found;
}

json metaspace(const TokenizerConfig& config) {
  const bool t5 = config.family == TokenizerFamily::t5;
  const char* scheme = t5 && !config.add_prefix_space ? "never" : t5 && !config.legacy ? "first" : "always";
  return {{"type", "Metaspace"}, {"replacement", kWordBegin}, {"prepend_scheme", scheme}, {"split", true}};
}

json pre_tokenizer(const TokenizerConfig& config) {
  if (config.family != TokenizerFamily::deberta_v2) return metaspace(config);
  json steps = json::array();
  if (config.split_by_punct) steps.push_back({{"type", "Punctuation"}, {"behavior", "Isolated"}});
  steps.push_back(metaspace(config));
  return {{"type", "Sequence"}, {"pretokenizers", std::move(steps)}};
}

}  // namespace

std::optional<std::filesystem::path> sentencepiece_file(const std::filesystem::path& folder,
                                                        const TokenizerConfig& config) {
  const Converter* converter = converter_of(config);
  if (converter == nullptr || !std::filesystem::exists(folder / converter->file)) return std::nullopt;
  return folder / converter->file;
}

SentencePieceTokenizer read_sentencepiece(const std::filesystem::path& file, const TokenizerConfig& config) {
  const MappedFile mapped(file);
  RustString text, error;
  check_rust(mlxe_sentencepiece_json(reinterpret_cast<const char*>(mapped.bytes().data()),
                                     mapped.bytes().size(), text.out(), error.out()),
             file.string() + ": ", error);
  const json parsed = json::parse(text.view());
  if (parsed["model_type"] != kUnigram)
    throw Error(
        ErrorCode::unsupported,
        fmt::format("{}: a SentencePiece model of type {}, expected 1 (Unigram); save the tokenizer with "
                    "transformers, which writes tokenizer.json",
                    file.string(), parsed["model_type"].dump()));
  const Model model{.pieces = parsed["pieces"],
                    .charsmap = parsed["charsmap"].get<std::string>(),
                    .unknown = parsed["unk_id"].get<int64_t>()};
  const Converter& converter = *converter_of(config);
  const json vocabulary = converter.vocabulary(model, config);
  const int64_t unknown = converter.unknown >= 0 ? converter.unknown : model.unknown;
  if (unknown >= static_cast<int64_t>(vocabulary.size()))
    throw Error(ErrorCode::format, fmt::format("{}: the unknown token is {}, but there are {} pieces",
                                               file.string(), unknown, vocabulary.size()));
  SentencePieceTokenizer made;
  for (const json& piece : model.pieces)
    if (piece[2] == kControl || piece[2] == kUserDefined)
      made.added.push_back(
          {.content = piece[0].get<std::string>(), .normalized = false, .special = piece[2] == kControl});
  made.json = {
      {"version", "1.0"},
      {"added_tokens", json::array()},
      {"normalizer", converter.normalizer(model, config)},
      {"pre_tokenizer", pre_tokenizer(config)},
      {"decoder", metaspace(config)},
      {"model", {{"type", "Unigram"}, {"unk_id", unknown}, {"vocab", vocabulary}, {"byte_fallback", false}}}};
  return made;
}

json sentencepiece_post_processor(const TokenizerConfig& config,
                                  const std::function<std::optional<int32_t>(const std::string& token)>& id) {
  const Converter& converter = *converter_of(config);
  json special = json::object();
  const auto pieces = [&](const char* text) {
    json all = json::array();
    std::istringstream words(text);
    for (std::string word; words >> word;) {
      const std::string name = word.substr(0, word.size() - 2);
      const int type = word.back() - '0';
      if (name.starts_with("$")) {
        all.push_back({{"Sequence", {{"id", name.substr(1)}, {"type_id", type}}}});
        continue;
      }
      const auto found = id(name);
      if (!found)
        throw Error(ErrorCode::format,
                    fmt::format("{}: the model has no token {}, which a {} puts around texts", converter.file,
                                name, converter.class_name));
      all.push_back({{"SpecialToken", {{"id", name}, {"type_id", type}}}});
      special[name] = {{"id", name}, {"ids", {*found}}, {"tokens", {name}}};
    }
    return all;
  };
  json single = pieces(converter.single), pair = pieces(converter.pair);
  return {{"type", "TemplateProcessing"},
          {"single", std::move(single)},
          {"pair", std::move(pair)},
          {"special_tokens", std::move(special)}};
}

}  // namespace mlxe
