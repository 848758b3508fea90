// Behaviour of a tokenizer other than its ids, which tests/golden/tokenizer_test.cpp checks.
#include "tokenizer/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>

#include "test_files.h"

namespace mlxe::tokenizer_test {
namespace {

using test::error_text;
using test::write_file;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

// [PAD] [UNK] [CLS] [SEP] [MASK] are 0 to 4.
constexpr const char* kVocab = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nhello\nworld\n##s\n,\n";

struct BertFolder : test::TemporaryFolder {
  BertFolder() {
    write_file(*this / "vocab.txt", kVocab);
    write_file(*this / "tokenizer_config.json",
               R"({"tokenizer_class": "BertTokenizer", "model_max_length": 64})");
  }
  Tokenizer load() const { return Tokenizer::load(path(), {}); }
};

TEST(Tokenizer, reads_a_vocabulary_file) {
  const BertFolder folder;
  const Tokenizer tokenizer = folder.load();
  const Encoding encoding = tokenizer.encode("Hello, wörlds");
  EXPECT_THAT(encoding.ids, ElementsAre(2, 5, 8, 6, 7, 3));
  EXPECT_THAT(encoding.offsets,
              ElementsAre(Pair(0, 0), Pair(0, 5), Pair(5, 6), Pair(7, 13), Pair(13, 14), Pair(0, 0)));
  EXPECT_THAT(encoding.code_point_offsets,
              ElementsAre(Pair(0, 0), Pair(0, 5), Pair(5, 6), Pair(7, 12), Pair(12, 13), Pair(0, 0)));
  EXPECT_THAT(encoding.word_ids, ElementsAre(-1, 0, 1, 2, 2, -1));
  EXPECT_THAT(encoding.sequence, ElementsAre(-1, 0, 0, 0, 0, -1));
  EXPECT_EQ(tokenizer.class_name(), "BertTokenizer");
  EXPECT_EQ(tokenizer.vocab_size(), 9);
  EXPECT_EQ(tokenizer.model_max_length(), 64);
  EXPECT_TRUE(tokenizer.gives_type_ids());
  EXPECT_EQ(tokenizer.token(7), "##s");
  EXPECT_EQ(tokenizer.id("world"), 6);
  EXPECT_EQ(tokenizer.id("absent"), std::nullopt);
  EXPECT_EQ(tokenizer.special_ids().mask, 4);
  EXPECT_EQ(tokenizer.special_ids().bos, std::nullopt);
  EXPECT_EQ(tokenizer.decode(encoding.ids), "hello, worlds");
  EXPECT_EQ(tokenizer.decode(encoding.ids, SpecialTokens::keep), "[CLS] hello, worlds [SEP]");
}

TEST(Tokenizer, an_empty_text_is_only_special_tokens) {
  const BertFolder folder;
  const Tokenizer tokenizer = folder.load();
  EXPECT_THAT(tokenizer.encode("").ids, ElementsAre(2, 3));
  EXPECT_THAT(tokenizer.encode("", "").ids, ElementsAre(2, 3, 3));
  EncodeOptions bare;
  bare.add_special_tokens = false;
  EXPECT_THAT(tokenizer.encode("", bare).ids, ElementsAre());
}

TEST(Tokenizer, truncates_to_a_length_that_counts_special_tokens) {
  const BertFolder folder;
  const Tokenizer tokenizer = folder.load();
  EncodeOptions options;
  options.max_length = 3;
  const Encoding encoding = tokenizer.encode("hello world hello", options);
  EXPECT_THAT(encoding.ids, ElementsAre(2, 5, 3));
  EXPECT_TRUE(encoding.truncated);
  EXPECT_EQ(encoding.dropped_tokens, 2);
  options.max_length = 5;
  EXPECT_FALSE(tokenizer.encode("hello world hello", options).truncated);
  options.max_length = 2;
  EXPECT_THAT(tokenizer.encode("hello world hello", options).ids, ElementsAre(2, 3));
  options.max_length = 1;
  EXPECT_THAT(error_text([&] { tokenizer.encode("hello", options); }, ErrorCode::usage),
              HasSubstr("found a limit of 1 tokens, expected at least the 2 special tokens"));
  options.max_length = 4;
  options.truncation = Truncation::only_second;
  EXPECT_THAT(error_text([&] { tokenizer.encode("hello world hello", options); }, ErrorCode::usage),
              HasSubstr("Second sequence not provided"));
}

// Truncating two long texts must not take time for all combinations of their cut-off parts.
TEST(Tokenizer, truncates_two_very_long_texts_quickly) {
  const BertFolder folder;
  const Tokenizer tokenizer = folder.load();
  std::string text;
  for (int i = 0; i < 50000; ++i) text += "hello ";
  EncodeOptions options;
  options.max_length = 16;
  const Encoding encoding = tokenizer.encode(text, text, options);
  EXPECT_EQ(encoding.ids.size(), 16u);
  EXPECT_EQ(encoding.dropped_tokens, 100000 - 13);
}

TEST(Tokenizer, text_that_is_not_utf8_names_the_byte) {
  const BertFolder folder;
  const Tokenizer tokenizer = folder.load();
  EXPECT_THAT(error_text([&] { tokenizer.encode("hello \xff world"); }, ErrorCode::format),
              HasSubstr("text is not UTF-8 at byte 6"));
  EXPECT_THAT(error_text([&] { tokenizer.encode("hello", "w\xc3"); }, ErrorCode::format),
              HasSubstr("second text is not UTF-8 at byte 1"));
  EXPECT_THAT(error_text([&] { tokenizer.encode("\xed\xa0\x80"); }, ErrorCode::format),  // a lone surrogate
              HasSubstr("at byte 0"));
}

TEST(Tokenizer, refuses_ids_it_does_not_have) {
  const BertFolder folder;
  const Tokenizer tokenizer = folder.load();
  EXPECT_THAT(error_text([&] { tokenizer.token(9); }, ErrorCode::usage),
              HasSubstr("token id 9 is not in the vocabulary of 9"));
  error_text([&] { tokenizer.token(-1); }, ErrorCode::usage);
  error_text([&] { tokenizer.decode(std::vector<int32_t>{5, -1}); }, ErrorCode::usage);
  EXPECT_EQ(tokenizer.decode(std::vector<int32_t>{5, 1000000, 6}), "hello world");
}

TEST(Tokenizer, moves) {
  const BertFolder folder;
  Tokenizer first = folder.load();
  Tokenizer second = std::move(first);
  first = std::move(second);
  EXPECT_THAT(first.encode("hello").ids, ElementsAre(2, 5, 3));
}

// ---- folders and settings

TEST(TokenizerFolder, without_a_tokenizer_is_not_found) {
  const test::TemporaryFolder folder;
  error_text([&] { Tokenizer::load(folder / "absent", {}); }, ErrorCode::not_found);
  EXPECT_THAT(error_text([&] { Tokenizer::load(folder.path(), {}); }, ErrorCode::not_found),
              HasSubstr("tokenizer.json"));
}

TEST(TokenizerFolder, with_a_vocabulary_of_another_kind_is_refused) {
  const test::TemporaryFolder folder;
  write_file(folder / "sentencepiece.bpe.model", "binary");
  write_file(folder / "config.json", R"({"model_type": "xlm-roberta"})");
  EXPECT_THAT(error_text([&] { Tokenizer::load(folder.path(), {}); }, ErrorCode::format),
              HasSubstr("sentencepiece.bpe.model: no SentencePiece model"));
  const test::TemporaryFolder deberta;
  write_file(deberta / "spm.model", "binary");
  write_file(deberta / "config.json", R"({"model_type": "deberta-v2"})");
  EXPECT_THAT(error_text([&] { Tokenizer::load(deberta.path(), {}); }, ErrorCode::format),
              HasSubstr("spm.model: no SentencePiece model"));
  const BertFolder generic;
  write_file(generic / "tokenizer_config.json", R"({"tokenizer_class": "PreTrainedTokenizerFast"})");
  EXPECT_THAT(error_text([&] { generic.load(); }, ErrorCode::unsupported),
              HasSubstr("vocab.txt without tokenizer.json"));
}

TEST(TokenizerFolder, bad_settings_name_the_setting) {
  const auto text_of = [](const char* settings) {
    const BertFolder folder;
    write_file(folder / "tokenizer_config.json", settings);
    return error_text([&] { folder.load(); }, ErrorCode::format);
  };
  EXPECT_THAT(text_of(R"({"tokenizer_class": "BertTokenizer", "do_lower_case": "yes"})"),
              HasSubstr("do_lower_case is \"yes\""));
  EXPECT_THAT(text_of(R"({"tokenizer_class": 7})"), HasSubstr("tokenizer_class is 7"));
  EXPECT_THAT(text_of(R"({"tokenizer_class": "BertTokenizer", "truncation_side": "up"})"),
              HasSubstr("truncation_side"));
  EXPECT_THAT(text_of(R"({"tokenizer_class": "BertTokenizer", "cls_token": 3})"),
              HasSubstr("cls_token is 3"));
  EXPECT_THAT(text_of(R"({"tokenizer_class": "BertTokenizer", "cls_token": null})"),
              HasSubstr("cls_token is not set"));
  EXPECT_THAT(text_of(R"({"tokenizer_class": "BertTokenizer", "added_tokens_decoder": {"x": {}}})"),
              HasSubstr("added_tokens_decoder"));
  EXPECT_THAT(text_of(R"({"tokenizer_class": "BertTokenizer", "additional_special_tokens": "x"})"),
              HasSubstr("additional_special_tokens is \"x\", expected a list"));
  EXPECT_THAT(text_of(R"({"tokenizer_class": "BertTokenizer", "extra_special_tokens": 5})"),
              HasSubstr("extra_special_tokens is 5"));
  EXPECT_THAT(text_of("[1]"), HasSubstr("expected a JSON object"));
  EXPECT_THAT(text_of("{\"a\": "), HasSubstr("not valid JSON"));
}

TEST(TokenizerFolder, bad_vocabulary_files_name_the_place) {
  const BertFolder bert;
  write_file(bert / "vocab.txt", "");
  EXPECT_THAT(error_text([&] { bert.load(); }, ErrorCode::format), HasSubstr("vocab.txt: empty"));
  write_file(bert / "vocab.txt", "[PAD]\nab\xff\n");
  EXPECT_THAT(error_text([&] { bert.load(); }, ErrorCode::format), HasSubstr("not UTF-8 at byte 8"));

  const test::TemporaryFolder roberta;
  write_file(roberta / "config.json", R"({"model_type": "roberta"})");
  write_file(roberta / "vocab.json", R"({"a": 0, "b": 1, "ab": 2})");
  write_file(roberta / "merges.txt", "#version: 0.2\na b\na b c\n");
  const auto text_of = [&] {
    return error_text([&] { Tokenizer::load(roberta.path(), {}); }, ErrorCode::format);
  };
  EXPECT_THAT(text_of(), HasSubstr("merges.txt: line 3 is \"a b c\", expected two tokens"));
  write_file(roberta / "merges.txt", "#version: 0.2\na c\n");  // a merge of tokens that are not there
  EXPECT_THAT(text_of(), HasSubstr("not a tokenizer"));
  write_file(roberta / "vocab.json", R"({"a": -1})");
  EXPECT_THAT(text_of(), HasSubstr("vocab.json: expected an object of tokens and their ids"));
  // Two tokens of one id, and an id that a special token would get.
  write_file(roberta / "vocab.json", R"({"a": 0, "b": 1, "c": 1})");
  EXPECT_THAT(text_of(), HasSubstr("as another token has, expected the ids 0 to 2 once each"));
  write_file(roberta / "vocab.json", R"({"a": 0, "b": 3})");
  EXPECT_THAT(text_of(), HasSubstr("\"b\" has the id 3, expected the ids 0 to 1 once each"));
}

std::vector<std::string> heard_at_load(const std::filesystem::path& folder) {
  test::Heard heard;
  Tokenizer::load(folder, heard.warning());
  return heard.sentences;
}

TEST(TokenizerFolder, says_what_it_does_not_honour) {
  const test::TemporaryFolder folder;
  write_file(folder / "tokenizer_config.json",
             R"({"tokenizer_class": "OwnTokenizer", "fast_tokenizer_files": []})");
  write_file(folder / "tokenizer.json",
             R"({"version": "1.0", "added_tokens": [{"id": 7, "content": "b", "single_word": false,
    "lstrip": false, "rstrip": false, "normalized": false, "special": true}],
    "model": {"type": "BPE", "dropout": 0.5, "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]}})");
  const auto heard = heard_at_load(folder.path());
  ASSERT_EQ(heard.size(), 4u);
  EXPECT_THAT(heard[0], HasSubstr("tokenizer_class \"OwnTokenizer\" is not known"));
  EXPECT_THAT(heard[1], HasSubstr("fast_tokenizer_files is not honoured"));
  EXPECT_THAT(heard[2], HasSubstr("Token 'b' was expected to have ID '7' but was given ID '1'"));
  EXPECT_THAT(heard[3], HasSubstr("dropout 0.5 is noise for training"));
  const Tokenizer tokenizer = Tokenizer::load(folder.path(), {});
  for (int i = 0; i < 50; ++i)
    EXPECT_THAT(tokenizer.encode("aab").ids, ElementsAre(0, 0, 1));  // "b" is special
  EXPECT_THAT(heard_at_load(BertFolder().path()), ElementsAre());
}

// GemmaTokenizerFast builds its post-processor from these settings, whatever tokenizer.json says.
TEST(TokenizerFolder, of_gemma_adds_the_tokens_its_settings_say) {
  const std::filesystem::path source = std::filesystem::path(MLXE_TEST_DATA) / "tiny/gemma3";
  const nlohmann::json as_saved = nlohmann::json::parse(test::read_file(source / "tokenizer_config.json"));
  const auto edges = [&](const nlohmann::json& changes) {
    const test::TemporaryFolder folder;
    std::filesystem::copy(source / "tokenizer.json", folder / "tokenizer.json");
    nlohmann::json settings = as_saved;
    settings.merge_patch(changes);
    write_file(folder / "tokenizer_config.json", settings.dump());
    const Tokenizer tokenizer = Tokenizer::load(folder.path(), {});
    std::vector<int32_t> ids = tokenizer.encode("The cat", "sat").ids;
    const int32_t bos = *tokenizer.id("<bos>"), eos = *tokenizer.id("<eos>");
    std::string text;
    for (const int32_t id : ids) text += id == bos ? "<" : id == eos ? ">" : "";
    return text;
  };
  EXPECT_EQ(edges(nlohmann::json::object()), "<><>");
  EXPECT_EQ(edges({{"add_eos_token", nullptr}, {"bos_token", nullptr}}), "<<") << "the class's defaults";
  EXPECT_EQ(edges({{"add_bos_token", false}}), ">>");
  EXPECT_EQ(edges({{"add_bos_token", false}, {"add_eos_token", false}}), "");
}

// MBartTokenizerFast and MBart50TokenizerFast do the same with the language. The ids are theirs.
TEST(TokenizerFolder, of_mbart_adds_the_language_its_settings_say) {
  const std::filesystem::path source = std::filesystem::path(MLXE_TEST_DATA) / "tiny/mbart_cls";
  const nlohmann::json as_saved = nlohmann::json::parse(test::read_file(source / "tokenizer_config.json"));
  const auto loaded = [&](const nlohmann::json& changes) {
    const test::TemporaryFolder folder;
    std::filesystem::copy(source / "tokenizer.json", folder / "tokenizer.json");
    nlohmann::json settings = as_saved;
    settings.merge_patch(changes);
    write_file(folder / "tokenizer_config.json", settings.dump());
    return Tokenizer::load(folder.path(), {});
  };
  const auto ids = [&](const nlohmann::json& changes) {
    return loaded(changes).encode("The cat", "sat").ids;
  };
  EXPECT_THAT(ids(nlohmann::json::object()), ElementsAre(68, 62, 63, 57, 63, 2, 223)) << "de_DE";
  EXPECT_THAT(ids({{"src_lang", nullptr}}), ElementsAre(68, 62, 63, 57, 63, 2, 224)) << "en_XX by default";
  const nlohmann::json mbart50{{"tokenizer_class", "MBart50TokenizerFast"}};
  EXPECT_THAT(ids(mbart50), ElementsAre(223, 68, 62, 63, 57, 63, 2));
  EXPECT_THAT(loaded(mbart50).encode("The cat sat").ids, ElementsAre(223, 68, 62, 63, 57, 63, 2));
  EXPECT_FALSE(loaded(nlohmann::json::object()).gives_type_ids());
  EXPECT_THAT(error_text(
                  [&] {
                    loaded({{"src_lang", "xx_YY"}});
                  },
                  ErrorCode::format),
              HasSubstr("src_lang is \"xx_YY\", expected a language that is a token of the vocabulary"));
}

// ---- invalid tokenizer.json: always an Error

// Loads the tokenizer and encodes a text. True if both succeeded.
bool survives(const std::string& tokenizer_json) {
  const test::TemporaryFolder folder;
  write_file(folder / "tokenizer.json", tokenizer_json);
  write_file(folder / "tokenizer_config.json", R"({"tokenizer_class": "BertTokenizer"})");
  try {
    const Tokenizer tokenizer = Tokenizer::load(folder.path(), {});
    tokenizer.encode("Hello, w\xc3\xb6rld <mask> \xe6\x9d\xb1\xe4\xba\xac", "[MASK] again");
    return true;
  } catch (const Error& error) {
    EXPECT_STRNE(error.what(), "");
    return false;
  }
}

std::string small_tokenizer_json() {
  return R"({"version":"1.0","truncation":{"max_length":4,"strategy":"LongestFirst","stride":0},"padding":null,
    "added_tokens":[{"id":3,"content":"[MASK]","single_word":false,"lstrip":true,"rstrip":false,"normalized":false,"special":true}],
    "normalizer":{"type":"Sequence","normalizers":[{"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":true,
      "strip_accents":null,"lowercase":true},{"type":"Replace","pattern":{"Regex":" +"},"content":" "}]},
    "pre_tokenizer":{"type":"BertPreTokenizer"},
    "post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"[C]","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],
      "pair":[{"Sequence":{"id":"A","type_id":0}},{"Sequence":{"id":"B","type_id":1}}],
      "special_tokens":{"[C]":{"id":"[C]","ids":[1],"tokens":["[C]"]}}},
    "decoder":{"type":"WordPiece","prefix":"##","cleanup":true},
    "model":{"type":"WordPiece","unk_token":"[U]","continuing_subword_prefix":"##","max_input_chars_per_word":100,
      "vocab":{"[U]":0,"[C]":1,"hello":2,"[MASK]":3,"w":4,"##o":5}}})";
}

TEST(MalformedTokenizerJson, cut_anywhere_is_an_error) {
  const std::string whole = small_tokenizer_json();
  EXPECT_TRUE(survives(whole));
  for (size_t size = 0; size < whole.size(); size += 7) EXPECT_FALSE(survives(whole.substr(0, size))) << size;
}

TEST(MalformedTokenizerJson, any_value_of_another_type_is_no_crash) {
  const nlohmann::json whole = nlohmann::json::parse(small_tokenizer_json());
  const nlohmann::json others[] = {nullptr, -1, "x", true, nlohmann::json::array({1, "a"})};
  int refused = 0, accepted = 0;
  const nlohmann::json flat = whole.flatten();
  for (const auto& [pointer, value] : flat.items()) {
    // Damages the value itself, and each object or array that contains it.
    for (auto at = nlohmann::json::json_pointer(pointer); !at.empty(); at.pop_back())
      for (const nlohmann::json& other : others) {
        nlohmann::json damaged = whole;
        damaged[at] = other;
        survives(damaged.dump()) ? ++accepted : ++refused;
      }
  }
  EXPECT_GT(refused, 500);
  EXPECT_GT(accepted, 0);
}

TEST(MalformedTokenizerJson, changed_bytes_are_no_crash) {
  const std::filesystem::path folder = std::filesystem::path(MLXE_TEST_DATA) / "tokenizers";
  std::minstd_rand random(1);
  for (const char* name : {"bert_cased", "roberta"}) {
    const std::string whole = test::read_file(folder / name / "tokenizer.json");
    for (int i = 0; i < 150; ++i) {
      std::string damaged = whole;
      for (int k = 0; k < 3; ++k) damaged[random() % damaged.size()] = static_cast<char>(random());
      survives(damaged);
    }
  }
}

TEST(MalformedTokenizerJson, nested_deeply_is_an_error) {
  EXPECT_FALSE(survives(std::string(200000, '[')));
  for (const int depth : {20, 60, 5000}) {
    std::string normalizer = R"({"type":"NFC"})";
    for (int i = 0; i < depth; ++i) normalizer = R"({"type":"Sequence","normalizers":[)" + normalizer + "]}";
    nlohmann::json whole = nlohmann::json::parse(small_tokenizer_json());
    whole["normalizer"] = "NORMALIZER";
    std::string text = whole.dump();
    text.replace(text.find("\"NORMALIZER\""), 12, normalizer);
    EXPECT_EQ(survives(text), depth < 100) << depth;
  }
}

TEST(MalformedTokenizerJson, parts_of_unknown_type_are_named) {
  const auto text_of = [](const char* part, const char* type) {
    nlohmann::json whole = nlohmann::json::parse(small_tokenizer_json());
    whole[part]["type"] = type;
    const test::TemporaryFolder folder;
    write_file(folder / "tokenizer.json", whole.dump());
    return error_text([&] { Tokenizer::load(folder.path(), {}); }, ErrorCode::unsupported);
  };
  for (const char* part : {"model", "normalizer", "pre_tokenizer", "post_processor", "decoder"})
    EXPECT_THAT(text_of(part, "Novel"),
                HasSubstr(std::string("tokenizer.json: ") + part + " of type \"Novel\" is not supported"));
}

TEST(MalformedTokenizerJson, tells_what_is_wrong) {
  const auto text_of = [](std::string_view content) {
    const test::TemporaryFolder folder;
    write_file(folder / "tokenizer.json", content);
    return error_text([&] { Tokenizer::load(folder.path(), {}); }, ErrorCode::format);
  };
  EXPECT_THAT(text_of(""), HasSubstr("not valid JSON"));
  EXPECT_THAT(text_of("{\"model\": {"),
              HasSubstr("not valid JSON: EOF while parsing an object at line 1 column 11"));
  EXPECT_THAT(text_of("{}"), HasSubstr("has no \"model\""));
  // Text that the crate quotes is shortened and escaped.
  const std::string odd =
      R"({"model": {"type": "BPE", "vocab": {}, "merges": ["\u0000)" + std::string(9000, 'b') + R"( c"]}})";
  EXPECT_THAT(text_of(odd), testing::AllOf(HasSubstr("\\u{0}bbb"), testing::SizeIs(testing::Lt(2000u))));
  EXPECT_THAT(text_of("[]"), HasSubstr("not a JSON object"));
  // The crate panics here; the panic must arrive as any other error.
  nlohmann::json unlisted = nlohmann::json::parse(small_tokenizer_json());
  unlisted["post_processor"]["single"][0]["SpecialToken"]["id"] = "[X]";
  EXPECT_THAT(text_of(unlisted.dump()), HasSubstr("not a tokenizer: "));
  EXPECT_THAT(text_of(R"({"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["a b"]}})"),
              HasSubstr("not a tokenizer"));
}

// Files that load, but make the crate panic on a text: a piece length of 0, a regular expression that gives
// up.
TEST(MalformedTokenizerJson, that_fails_at_a_text_only_is_an_error_of_the_file) {
  nlohmann::json pieces = nlohmann::json::parse(small_tokenizer_json()), regex = pieces;
  pieces["pre_tokenizer"] = {{"type", "FixedLength"}, {"length", 0}};
  regex["pre_tokenizer"] = {
      {"type", "Split"}, {"pattern", {{"Regex", "(a+)+$"}}}, {"behavior", "Isolated"}, {"invert", false}};
  for (const nlohmann::json& json : {pieces, regex}) {
    const test::TemporaryFolder folder;
    write_file(folder / "tokenizer.json", json.dump());
    const Tokenizer tokenizer = Tokenizer::load(folder.path(), {});
    EXPECT_THAT(error_text([&] { tokenizer.encode(std::string(5000, 'a') + "b"); }, ErrorCode::format),
                HasSubstr("the tokenizer fails on it"));
  }
}

TEST(MalformedTokenizerJson, whose_replacements_would_fill_the_memory_is_refused) {
  const auto load_with = [](int replacements) {
    nlohmann::json json = nlohmann::json::parse(small_tokenizer_json());
    const nlohmann::json one{{"type", "Replace"}, {"pattern", {{"String", "a"}}}, {"content", "aa"}};
    json["normalizer"] = {{"type", "Sequence"}, {"normalizers", std::vector(replacements, one)}};
    const test::TemporaryFolder folder;
    write_file(folder / "tokenizer.json", json.dump());
    Tokenizer::load(folder.path(), {});
  };
  EXPECT_NO_THROW(load_with(9));
  EXPECT_THAT(error_text([&] { load_with(60); }, ErrorCode::unsupported),
              HasSubstr("normalizer: its replacements can make a text 1152921504606846976 times as long"));
}

}  // namespace
}  // namespace mlxe::tokenizer_test
