// Models and tokenizers of llama.cpp's converter beside those that it was given.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "format/gguf_folder.h"
#include "format/gguf_tokenizer.h"
#include "format/weight_file_folder.h"
#include "gguf_bytes.h"
#include "mlx_encoder/encoder.h"
#include "mlx_encoder/hub.h"
#include "model_folders.h"
#include "tokenizer/tokenizer.h"

namespace mlxe::gguf_model_test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using test::error_text;
using test::tiny;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const fs::path kGguf = fs::path(MLXE_TEST_DATA) / "gguf";

fs::path model(const std::string& name) {
  return model_folder((kGguf / (name + ".gguf")).string());
}

// The tiny checkpoints take 24 tokens or more.
const std::vector<std::string> kShortTexts{"The cat sat on the warm piano.", "A question",
                                           "Take the second road!"};

std::vector<json> lines_of(const fs::path& file) {
  std::ifstream stream(file);
  std::vector<json> lines;
  for (std::string line; std::getline(stream, line);) lines.push_back(json::parse(line));
  return lines;
}

std::vector<std::string> many_texts() {
  std::vector<std::string> texts = kShortTexts;
  for (const json& line : lines_of(fs::path(MLXE_TEST_DATA) / "nasty_texts.jsonl"))
    texts.push_back(line["text"]);
  // Every pair of two of them has another text at its seam.
  const size_t single = texts.size();
  for (size_t i = 0; i + 1 < single; ++i) {
    texts.push_back(texts[i] + " " + texts[i + 1]);
    texts.push_back(texts[i + 1].substr(0, texts[i + 1].size() / 2));
    texts.push_back("  " + texts[i] + "\n");
  }
  std::erase_if(texts, [](const std::string& text) { return text.size() > 20'000; });
  return texts;
}

// Nothing that a normalizer changes, and no token that is searched before it.
bool is_plain(const std::string& text) {
  return std::ranges::all_of(text, [](char c) { return c >= ' ' && c < '\x7f'; }) && !text.starts_with(' ') &&
         !text.ends_with(' ') && text.find("  ") == text.npos && text.find('<') == text.npos;
}

// A text or a pair: ids and types, or that it is no text.
std::pair<std::vector<int32_t>, std::vector<int32_t>> ids_and_types(
    const Tokenizer& tokenizer, const std::string& text, std::optional<std::string_view> pair = {}) {
  try {
    const Encoding encoding = tokenizer.encode(text, pair, {});
    return {encoding.ids, encoding.type_ids};
  } catch (const Error&) {
    return {};
  }
}

int differing(const Tokenizer& a, const Tokenizer& b, bool all_texts) {
  int count = 0, compared = 0;
  for (const std::string& text : many_texts()) {
    if (!all_texts && !is_plain(text)) continue;
    ++compared;
    if (ids_and_types(a, text) != ids_and_types(b, text)) ++count;
  }
  EXPECT_GT(compared, all_texts ? 200 : 20);
  return count;
}

// ---- models

struct Golden {
  const char* file;
  const char* original;  // in tests/data/tiny
  // Whether the original's tokenizer normalizes as published ones of the architecture do, and so as the file says.
  bool all_texts = true;
};

class GgufModel : public ::testing::TestWithParam<Golden> {};

TEST_P(GgufModel, HasTheOriginalsResultsAndTokens) {
  const auto& [file, original, all_texts] = GetParam();
  const fs::path made = model(file);
  const Matrix found = test::hidden_of(made), expected = test::hidden_of(tiny(original));
  EXPECT_EQ(found.values, expected.values);
  EXPECT_EQ(differing(Tokenizer::load(made, {}), Tokenizer::load(tiny(original), {}), all_texts), 0);
}

TEST_P(GgufModel, HasTheOriginalsVectorsOfLengthOne) {
  const auto& [file, original, all_texts] = GetParam();
  const fs::path made = model(file);
  const auto vectors = [](const fs::path& folder) {
    const Encoder encoder = Encoder::load(folder, {.engine = EngineKind::cpu});
    Vectors result = encoder.embed(kShortTexts);
    const size_t width = result.values.size() / kShortTexts.size();
    for (size_t row = 0; row < kShortTexts.size(); ++row) {
      double sum = 0;
      const std::span<float> vector(result.values.data() + row * width, width);
      for (const float v : vector) sum += static_cast<double>(v) * v;
      for (float& v : vector) v = static_cast<float>(v / std::sqrt(sum));
    }
    return std::vector<float>(result.values.begin(), result.values.end());
  };
  const std::vector<float> found = vectors(made), expected = vectors(tiny(original));
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i)
    // Values up to 1. Dividing by the length rounds twice in one and once in the other: 3 * 2^-24 and the sum's own error.
    ASSERT_NEAR(found[i], expected[i], 1e-6) << i;
}

INSTANTIATE_TEST_SUITE_P(
    All, GgufModel,
    ::testing::Values(Golden{"bert", "st_mean_norm"}, Golden{"bert_cls", "st_cls"},
                      Golden{"roberta", "st_lasttoken"}, Golden{"xlm_roberta", "xlm_roberta", false},
                      Golden{"nomic_bert", "st_nomic"}, Golden{"modern_bert", "modernbert", false},
                      Golden{"jina_bert", "st_jina"}, Golden{"jina_bert_code", "jina_bert_code"},
                      Golden{"qwen3", "st_qwen3"}),
    [](const auto& test) { return std::string(test.param.file); });

TEST(GgufClassifier, GivesTheOriginalsScores) {
  for (const auto& [file, original] :
       {std::pair("roberta_rank", "roberta_cls"), std::pair("xlm_roberta_rank", "xlm_roberta_cls"),
        std::pair("modern_bert_rank", "modernbert_cls")}) {
    const auto scores = [](const fs::path& folder) {
      std::vector<TextInput> texts;
      for (const std::string& text : kShortTexts) texts.push_back({text, {}});
      const Encoder encoder = Encoder::load(folder, {.engine = EngineKind::cpu});
      std::vector<std::vector<float>> all;
      for (const Prediction& p : encoder.classify(texts)) all.push_back(p.scores);
      return std::pair(encoder.info().labels, all);
    };
    EXPECT_EQ(scores(model(file)), scores(tiny(original))) << file;
  }
}

// The twin of both: one value of the last tensor is another.
TEST(GgufModelTwin, AChangedWeightIsSeen) {
  const test::TemporaryFolder folder;
  std::string file = test::read_file(kGguf / "bert.gguf");
  file[file.size() - 1] = static_cast<char>(file[file.size() - 1] ^ 1);  // of the exponent
  test::write_file(folder / "changed.gguf", file);
  const Matrix found = test::hidden_of(model_folder((folder / "changed.gguf").string())),
               expected = test::hidden_of(tiny("st_mean_norm"));
  double largest = 0;
  for (size_t i = 0; i < found.values.size(); ++i)
    largest = std::max(largest, std::abs(static_cast<double>(found.values[i]) - expected.values[i]));
  EXPECT_GT(largest, 1e-4);
}

// ---- tokenizers

struct Vocabulary {
  const char* file;
  const char* original;  // in tests/data/tokenizers
  const char* key;       // a value without which ids differ
};

class GgufTokenizers : public ::testing::TestWithParam<Vocabulary> {
 protected:
  Tokenizer tokenizer(const GgufFile& file) {
    const GgufTokenizer made = gguf_tokenizer(file, heard_.warning());
    test::write_file(folder_ / "t/tokenizer.json", made.json.dump());
    test::write_file(folder_ / "t/tokenizer_config.json", made.config.dump());
    test::write_file(folder_ / "t/config.json", "{}");
    return Tokenizer::load(folder_ / "t", heard_.warning());
  }
  test::TemporaryFolder folder_;
  test::Heard heard_;
};

TEST_P(GgufTokenizers, GiveTheOriginalsIds) {
  const std::string bytes = test::read_file(kGguf / (std::string(GetParam().file) + ".gguf"));
  GgufFile file = GgufFile::parse(std::as_bytes(std::span(bytes)), GetParam().file);
  const Tokenizer original =
      Tokenizer::load(fs::path(MLXE_TEST_DATA) / "tokenizers" / GetParam().original, {});
  const Tokenizer made = tokenizer(file);
  EXPECT_EQ(differing(made, original, true), 0);
  for (const std::string& text : kShortTexts)
    EXPECT_EQ(ids_and_types(made, text, "and a second text"),
              ids_and_types(original, text, "and a second text"));
  EXPECT_EQ(made.special_ids().pad, original.special_ids().pad);
  EXPECT_EQ(made.special_ids().mask, original.special_ids().mask);
  EXPECT_THAT(heard_.sentences, IsEmpty());
  // The twin.
  ASSERT_EQ(file.values.erase(GetParam().key), 1u);
  if (std::string_view(GetParam().key).ends_with("lowercase"))
    file.values.emplace(GetParam().key,
                        GgufValue{GgufKind::boolean, std::string_view(GetParam().file).ends_with("_cased")});
  EXPECT_GT(differing(tokenizer(file), original, true), 10);
}

INSTANTIATE_TEST_SUITE_P(All, GgufTokenizers,
                         ::testing::Values(Vocabulary{"vocabulary_bert_uncased", "bert_uncased",
                                                      "tokenizer.ggml.normalizer.lowercase"},
                                           Vocabulary{"vocabulary_bert_cased", "bert_cased",
                                                      "tokenizer.ggml.normalizer.lowercase"},
                                           Vocabulary{"vocabulary_roberta", "roberta",
                                                      "tokenizer.ggml.add_bos_token"},
                                           Vocabulary{"vocabulary_xlm_roberta", "sentencepiece/xlm_roberta",
                                                      "tokenizer.ggml.precompiled_charsmap"}),
                         [](const auto& test) { return std::string(test.param.file); });

// Files of older converters do not say whether texts become lower case.
TEST_F(GgufTokenizers, TakeTheCaseFromTheVocabularyIfTheFileDoesNotSay) {
  for (const char* name : {"bert_uncased", "bert_cased"}) {
    const std::string bytes = test::read_file(kGguf / (std::string("vocabulary_") + name + ".gguf"));
    GgufFile file = GgufFile::parse(std::as_bytes(std::span(bytes)), name);
    file.values.erase("tokenizer.ggml.normalizer.lowercase");
    heard_.sentences.clear();
    const Tokenizer made = tokenizer(file);
    EXPECT_EQ(differing(made, Tokenizer::load(fs::path(MLXE_TEST_DATA) / "tokenizers" / name, {}), true), 0);
    if (name == std::string("bert_cased"))
      EXPECT_THAT(heard_.sentences,
                  ElementsAre(HasSubstr("the vocabulary has upper case, so texts keep theirs")));
    else
      EXPECT_THAT(heard_.sentences, IsEmpty());
  }
}

// ---- the folder around a file

class GgufFolder : public ::testing::Test {
 protected:
  fs::path copy(const char* name, const char* to) {
    const fs::path target = folder_ / to;
    fs::create_directories(target.parent_path());
    fs::copy_file(kGguf / (std::string(name) + ".gguf"), target, fs::copy_options::overwrite_existing);
    return target;
  }
  fs::path made(const fs::path& path) { return model_folder(path.string(), {.warning = heard_.warning()}); }

  test::TemporaryFolder folder_;
  test::Heard heard_;
};

TEST_F(GgufFolder, IsNamedAsTheFile) {
  const fs::path path = copy("bert", "a/tiny.Q8_0.gguf");
  EXPECT_EQ(made(path).filename(), "tiny.Q8_0");
  EXPECT_EQ(made(path.parent_path()), made(path));
  EXPECT_THAT(heard_.sentences, IsEmpty());
  EXPECT_EQ(read_json(made(path) / "config.json")["layer_norm_eps"].dump(), "1e-12");
}

TEST_F(GgufFolder, OfSeveralFilesHasToBeTold) {
  copy("bert", "a/one.gguf");
  copy("bert_cls", "a/two.gguf");
  EXPECT_THAT(
      error_text([&] { made(folder_ / "a"); }, ErrorCode::usage),
      AllOf(HasSubstr("holds 2 models, \"one.gguf\", \"two.gguf\""), HasSubstr("name one of these files")));
}

TEST_F(GgufFolder, WithOtherWeightsKeepsThem) {
  fs::copy(tiny("st_mean_norm"), folder_ / "m", fs::copy_options::recursive);
  copy("bert", "m/tiny.gguf");
  EXPECT_EQ(made(folder_ / "m"), folder_ / "m");
}

TEST_F(GgufFolder, MustNotContradictTheConfigBesideTheFile) {
  fs::copy(tiny("st_mean_norm"), folder_ / "m", fs::copy_options::recursive);
  fs::remove(folder_ / "m/model.safetensors");
  const fs::path path = copy("bert", "m/tiny.gguf");
  EXPECT_EQ(test::hidden_of(made(path)).values, test::hidden_of(tiny("st_mean_norm")).values);
  EXPECT_EQ(made(folder_ / "m"), made(path));
  const auto refused = [&](const char* other, auto change) {
    copy("bert", other);
    test::change_config(folder_ / "m", change);
    return error_text([&] { made(folder_ / other); }, ErrorCode::format);
  };
  EXPECT_THAT(
      refused("m/a.gguf", [](json& config) { config["num_attention_heads"] = 8; }),
      AllOf(HasSubstr("a.gguf: says \"num_attention_heads\" 4, but "), HasSubstr("config.json says 8")));
  EXPECT_THAT(refused("m/b.gguf", [](json& config) { config["model_type"] = "distilbert"; }),
              HasSubstr("holds a bert, but "));
}

TEST_F(GgufFolder, SaysWhichKeysAreNotRead) {
  const std::string whole = test::read_file(kGguf / "bert.gguf");
  std::string file = whole;
  const size_t at = file.find("bert.pooling_type");
  file.replace(at, 17, "bert.pooling_tape");
  test::write_file(folder_ / "t.gguf", file);
  made(folder_ / "t.gguf");
  EXPECT_THAT(heard_.sentences, ElementsAre(HasSubstr("t.gguf: a key is not read: \"bert.pooling_tape\"")));
}

TEST_F(GgufFolder, TakesATokenizerThatCannotBeMadeFromBesideTheFile) {
  const fs::path path = copy("qwen3", "a/m.gguf");
  std::string file = test::read_file(path);
  const size_t at = file.find("qwen2");
  file.replace(at, 5, "qwen9");
  test::write_file(path, file);
  EXPECT_THAT(error_text([&] { made(path); }, ErrorCode::unsupported),
              AllOf(HasSubstr("\"tokenizer.ggml.pre\" is \"qwen9\""),
                    HasSubstr("put the original's tokenizer.json beside the file")));
  fs::copy_file(tiny("st_qwen3") / "tokenizer.json", folder_ / "a/tokenizer.json");
  EXPECT_EQ(differing(Tokenizer::load(made(path), {}), Tokenizer::load(tiny("st_qwen3"), {}), true), 0);
}

// As EmbeddingGemma: the file cannot say what this checkpoint has otherwise.
TEST_F(GgufFolder, OfAGemmaHasTheOriginalsVectors) {
  const fs::path original = folder_ / "original";
  fs::copy(tiny("st_gemma3"), original, fs::copy_options::recursive);
  test::change_config(original, [](json& config) {
    config["query_pre_attn_scalar"] = config["head_dim"];
    config["layer_types"] = {"sliding_attention", "sliding_attention"};
  });
  const fs::path path = copy("gemma", "a/m.gguf");
  fs::copy_file(original / "tokenizer.json", folder_ / "a/tokenizer.json");
  fs::copy_file(original / "tokenizer_config.json", folder_ / "a/tokenizer_config.json");
  const auto vectors = [](const fs::path& folder) {
    const Vectors result = Encoder::load(folder, {.engine = EngineKind::cpu}).embed(kShortTexts);
    return std::vector<float>(result.values.begin(), result.values.end());
  };
  const std::vector<float> found = vectors(made(path)), expected = vectors(original);
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i)
    // A norm's weight w is stored as the float32 next to 1 + w, of which 1 is taken away without an error: 2^-24 of it, in
    // 13 norms one after the other, and as much again in the sums behind them.
    ASSERT_NEAR(found[i], expected[i], 3e-6) << i;
  EXPECT_THAT(heard_.sentences, ElementsAre(HasSubstr("the tokenizer.json beside it is used")));
}

TEST_F(GgufFolder, WhatTheHeadNeedsAndTheFileLacksIsSaid) {
  test::GgufBytes file;
  file.text("general.architecture", "bert").number("bert.pooling_type", 4).zeros("token_embd.weight", {8, 4});
  for (const auto& [key, value] :
       {std::pair("block_count", 1u), std::pair("embedding_length", 8u), std::pair("feed_forward_length", 8u),
        std::pair("attention.head_count", 2u)})
    file.number(std::string("bert.") + key, value);
  test::write_file(folder_ / "t.gguf", file.bytes());
  EXPECT_THAT(error_text([&] { made(folder_ / "t.gguf"); }, ErrorCode::unsupported),
              HasSubstr("leaves out the pooler of a BERT"));
  file.text("bert.rope.scaling.type", "yarn");
  test::write_file(folder_ / "u.gguf", file.bytes());
  EXPECT_THAT(error_text([&] { made(folder_ / "u.gguf"); }, ErrorCode::unsupported),
              HasSubstr("\"bert.rope.scaling.type\" is \"yarn\""));
}

TEST_F(GgufFolder, OfDamagedFilesIsAModelOrASentence) {
  std::mt19937 random(3);
  for (const char* name : {"bert", "roberta", "qwen3", "xlm_roberta"}) {
    const std::string whole = test::read_file(kGguf / (std::string(name) + ".gguf"));
    for (int i = 0; i < 30; ++i) {
      std::string file = whole;
      for (unsigned changes = 1 + random() % 4; changes > 0; --changes)
        file[random() % 6000] = static_cast<char>(random());
      const fs::path path = folder_ / (std::string(name) + std::to_string(i) + ".gguf");
      test::write_file(path, file);
      try {
        const fs::path folder = made(path);
        Tokenizer::load(folder, {});
        test::hidden_of(folder);
      } catch (const Error& error) {
        EXPECT_NE(error.code(), ErrorCode::internal) << error.what();
        EXPECT_LT(std::string_view(error.what()).size(), 4096u);
      }
    }
  }
}

// A folder that has model.gguf beside config.json is opened as any model folder.
TEST_F(GgufFolder, IsHeldAgainstTheConfigBesideIt) {
  const fs::path folder = folder_ / "folder";
  fs::copy(tiny("bert"), folder, fs::copy_options::recursive);
  fs::remove(folder / "model.safetensors");
  fs::copy_file(kGguf / "bert.gguf", folder / "model.gguf");
  Encoder::load(folder, {.engine = EngineKind::cpu});
  test::change_config(folder, [](nlohmann::json& c) { c["num_attention_heads"] = 1; });
  for (const fs::path& model : {folder, folder / "model.gguf"})
    EXPECT_THAT(error_text([&] { Encoder::load(model_folder(model.string()), {.engine = EngineKind::cpu}); },
                           ErrorCode::format),
                HasSubstr("num_attention_heads"));
}

}  // namespace
}  // namespace mlxe::gguf_model_test
