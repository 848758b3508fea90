#include "tokenizer/vocabulary_files.h"

#include <algorithm>
#include <initializer_list>
#include <set>
#include <utility>
#include <vector>

#include "base/mapped_file.h"
#include "base/utf8.h"
#include "format/json_file.h"
#include "mlx_encoder/error.h"

namespace mlxe {
namespace {

using nlohmann::json;

// Lines end in "\n", "\r\n" or "\r", as in Python. Text after the last line end is a line, too, unless empty.
std::vector<std::string> read_lines(const std::filesystem::path& file) {
  const MappedFile mapped(file);
  const std::string_view text(reinterpret_cast<const char*>(mapped.bytes().data()), mapped.bytes().size());
  if (const size_t bad = first_invalid_utf8(text); bad != kValidUtf8)
    throw Error(ErrorCode::format, file.string() + ": not UTF-8 at byte " + std::to_string(bad));
  std::vector<std::string> lines;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find_first_of("\r\n", begin), text.size());
    lines.emplace_back(text.substr(begin, end - begin));
    begin = end + 1;
    if (end < text.size() && text[end] == '\r' && begin < text.size() && text[begin] == '\n') ++begin;
  }
  return lines;
}

bool ends_in_newline(const std::filesystem::path& file) {
  const MappedFile mapped(file);
  const auto bytes = mapped.bytes();
  return !bytes.empty() && (bytes.back() == std::byte{'\n'} || bytes.back() == std::byte{'\r'});
}

std::vector<std::string> words_of(const std::string& line) {
  constexpr const char* kSpaces = " \t\v\f";
  std::vector<std::string> words;
  for (size_t at = line.find_first_not_of(kSpaces); at != line.npos;
       at = line.find_first_not_of(kSpaces, at)) {
    const size_t end = std::min(line.find_first_of(kSpaces, at), line.size());
    words.push_back(line.substr(at, end - at));
    at = end;
  }
  return words;
}

json template_piece(const EdgeToken& token, int type_id) {
  return {{"SpecialToken", {{"id", token.content}, {"type_id", type_id}}}};
}

json described(const EdgeToken& token) {
  return {{"id", token.content}, {"ids", {token.id}}, {"tokens", {token.content}}};
}

json template_text(const char* name, int type_id) {
  return {{"Sequence", {{"id", name}, {"type_id", type_id}}}};
}

// A special token that the vocabulary lacks gets the id after its number of tokens, which must be free.
void require_dense(const json& ids, const std::filesystem::path& vocab) {
  std::vector<bool> seen(ids.size());
  for (const auto& [token, id] : ids.items()) {
    const auto number = id.get<uint64_t>();
    if (number >= seen.size() || seen[number])
      throw Error(ErrorCode::format,
                  vocab.string() + ": " + printable(token) + " has the id " + std::to_string(number) +
                      (number >= seen.size() ? "" : ", as another token has") + ", expected the ids 0 to " +
                      std::to_string(seen.size() - 1) + " once each");
    seen[number] = true;
  }
}

}  // namespace

json bert_normalizer(const TokenizerConfig& config) {
  return {{"type", "BertNormalizer"},
          {"clean_text", true},
          {"handle_chinese_chars", config.tokenize_chinese_chars},
          {"strip_accents", config.strip_accents ? json(*config.strip_accents) : json(nullptr)},
          {"lowercase", config.do_lower_case}};
}

json wordpiece_from_vocab(const std::filesystem::path& vocab, const TokenizerConfig& config,
                          const std::string& unknown_token) {
  json ids = json::object();
  int32_t id = 0;
  for (const std::string& token : read_lines(vocab)) ids[token] = id++;  // a duplicate gets its last id
  if (ids.empty()) throw Error(ErrorCode::format, vocab.string() + ": empty, expected one token a line");
  return {{"version", "1.0"},
          {"added_tokens", json::array()},
          {"normalizer", bert_normalizer(config)},
          {"pre_tokenizer", {{"type", "BertPreTokenizer"}}},
          {"decoder", {{"type", "WordPiece"}, {"prefix", "##"}, {"cleanup", true}}},
          {"model",
           {{"type", "WordPiece"},
            {"unk_token", unknown_token},
            {"continuing_subword_prefix", "##"},
            {"max_input_chars_per_word", 100},
            {"vocab", std::move(ids)}}}};
}

json byte_level_bpe_from_vocab(const std::filesystem::path& vocab, const std::filesystem::path& merges,
                               const TokenizerConfig& config) {
  json ids = read_json(vocab);
  const bool all_ids = ids.is_object() && std::all_of(ids.begin(), ids.end(), [](const json& id) {
                         return id.is_number_unsigned() && id.get<uint64_t>() <= INT32_MAX;
                       });
  if (!all_ids || ids.empty())
    throw Error(ErrorCode::format, vocab.string() + ": expected an object of tokens and their ids");
  require_dense(ids, vocab);

  std::vector<std::string> lines = read_lines(merges);
  // As in transformers' reader, the first line and text after the last newline are dropped.
  if (!lines.empty() && !ends_in_newline(merges)) lines.pop_back();
  json pairs = json::array();
  std::set<std::pair<std::string, std::string>> seen;
  for (size_t i = 1; i < lines.size(); ++i) {
    std::vector<std::string> words = words_of(lines[i]);
    if (words.size() != 2)
      throw Error(ErrorCode::format, merges.string() + ": line " + std::to_string(i + 1) + " is " +
                                         printable(lines[i]) + ", expected two tokens");
    if (seen.emplace(words[0], words[1]).second) pairs.push_back({words[0], words[1]});
  }
  const auto byte_level = [](bool add_prefix_space) {
    return json{{"type", "ByteLevel"},
                {"add_prefix_space", add_prefix_space},
                {"trim_offsets", true},
                {"use_regex", true}};
  };
  return {{"version", "1.0"},
          {"added_tokens", json::array()},
          {"pre_tokenizer", byte_level(config.add_prefix_space)},
          {"decoder", byte_level(true)},
          {"model",
           {{"type", "BPE"},
            {"continuing_subword_prefix", ""},
            {"end_of_word_suffix", ""},
            {"fuse_unk", false},
            {"byte_fallback", false},
            {"vocab", std::move(ids)},
            {"merges", std::move(pairs)}}}};
}

json bert_post_processor(const EdgeToken& cls, const EdgeToken& sep) {
  const json single = {template_piece(cls, 0), template_text("A", 0), template_piece(sep, 0)};
  json pair = single;
  pair.push_back(template_text("B", 1));
  pair.push_back(template_piece(sep, 1));
  return {{"type", "TemplateProcessing"},
          {"single", single},
          {"pair", std::move(pair)},
          {"special_tokens", {{cls.content, described(cls)}, {sep.content, described(sep)}}}};
}

json roberta_post_processor(const EdgeToken& cls, const EdgeToken& sep, const TokenizerConfig& config) {
  return {{"type", "RobertaProcessing"},
          {"sep", json::array({sep.content, sep.id})},
          {"cls", json::array({cls.content, cls.id})},
          {"trim_offsets", config.trim_offsets},
          {"add_prefix_space", config.add_prefix_space}};
}

json gemma_post_processor(const std::optional<EdgeToken>& bos, const std::optional<EdgeToken>& eos) {
  json single = json::array(), pair = json::array(), tokens = json::object();
  const auto add = [&](const json& piece, int type_id) {
    if (type_id == 0) single.push_back(piece);
    pair.push_back(piece);
  };
  for (const int type_id : {0, 1}) {
    if (bos) add(template_piece(*bos, type_id), type_id);
    add(template_text(type_id == 0 ? "A" : "B", type_id), type_id);
    if (eos) add(template_piece(*eos, type_id), type_id);
  }
  for (const auto& token : {bos, eos})
    if (token) tokens[token->content] = described(*token);
  return {{"type", "TemplateProcessing"},
          {"single", std::move(single)},
          {"pair", std::move(pair)},
          {"special_tokens", std::move(tokens)}};
}

json mbart_post_processor(const std::vector<EdgeToken>& before, const std::vector<EdgeToken>& after) {
  json tokens = json::object();
  const auto around = [&](std::initializer_list<const char*> texts) {
    json pieces = json::array();
    for (const EdgeToken& token : before) pieces.push_back(template_piece(token, 0));
    for (const char* text : texts) pieces.push_back(template_text(text, 0));
    for (const EdgeToken& token : after) pieces.push_back(template_piece(token, 0));
    return pieces;
  };
  for (const auto* edge : {&before, &after})
    for (const EdgeToken& token : *edge) tokens[token.content] = described(token);
  return {{"type", "TemplateProcessing"},
          {"single", around({"A"})},
          {"pair", around({"A", "B"})},
          {"special_tokens", std::move(tokens)}};
}

}  // namespace mlxe
