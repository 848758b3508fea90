// Settings of a GGUF file that llama.cpp heeds, and those that it does not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "format/gguf_config.h"
#include "format/gguf_tokenizer.h"
#include "gguf_bytes.h"
#include "model_folders.h"

namespace mlxe::gguf_settings_test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using test::error_text;
using ::testing::AllOf;
using ::testing::HasSubstr;

test::GgufBytes bert(float epsilon = 1e-12f, uint32_t layers = 2) {
  test::GgufBytes file;
  file.text("general.architecture", "bert").number("bert.block_count", layers);
  file.number("bert.embedding_length", 8)
      .number("bert.feed_forward_length", 8)
      .number("bert.attention.head_count", 2);
  file.real("bert.attention.layer_norm_epsilon", epsilon);
  for (const char* name :
       {"token_embd.weight", "position_embd.weight", "blk.0.attn_q.weight", "blk.1.attn_q.weight"})
    file.zeros(name, {8, 8});
  return file;
}

json config(const test::GgufBytes& file) {
  const std::string bytes = file.bytes();
  return gguf_config(GgufFile::parse(std::as_bytes(std::span(bytes)), "m.gguf"));
}
std::string refused(const test::GgufBytes& file, ErrorCode code) {
  return error_text([&] { config(file); }, code);
}

TEST(GgufSettings, OfScaledPositionsAreRefusedWithoutATypeToo) {
  for (const char* key : {"rope.scaling.factor", "rope.scale_linear", "rope.scaling.attn_factor"}) {
    const std::string whole = std::string("bert.") + key;
    EXPECT_THAT(refused(bert().real(whole, 4), ErrorCode::unsupported),
                AllOf(HasSubstr("m.gguf: \"" + whole + "\" is 4"), HasSubstr("only plain rotary positions")));
    EXPECT_NO_THROW(config(bert().real(whole, 1))) << key;
  }
  EXPECT_NO_THROW(config(bert().real("bert.rope.scaling.factor", 0)));
  EXPECT_NO_THROW(config(bert().text("bert.rope.scaling.type", "none").real("bert.rope.scaling.factor", 4)));
  // The older key counts if the other is absent.
  EXPECT_NO_THROW(config(bert().real("bert.rope.scaling.factor", 1).real("bert.rope.scale_linear", 4)));
  EXPECT_THAT(refused(bert().text("bert.rope.scaling.type", "linear"), ErrorCode::unsupported),
              HasSubstr("is \"linear\""));
}

TEST(GgufSettings, ThatAreNoNumbersAreRefused) {
  EXPECT_EQ(config(bert())["layer_norm_eps"].dump(), "1e-12");
  for (const float value : {NAN, INFINITY, -INFINITY})
    EXPECT_THAT(
        refused(bert(value), ErrorCode::format),
        AllOf(HasSubstr("\"bert.attention.layer_norm_epsilon\" is "), HasSubstr("expected a finite number")));
}

TEST(GgufSettings, OfFewerLayersThanTheFileHasAreRefused) {
  EXPECT_EQ(config(bert())["num_hidden_layers"], 2);
  EXPECT_THAT(
      refused(bert(1e-12f, 1), ErrorCode::format),
      HasSubstr("\"bert.block_count\" is 1, but \"blk.1.attn_q.weight\" is of the layer 1, counted from 0"));
}

// As llama.cpp's WordPiece, which adds both tokens whatever the file says.
TEST(GgufSettings, OfAddedTokensDoNotConcernWordPiece) {
  const std::string bytes = test::read_file(fs::path(MLXE_TEST_DATA) / "gguf/vocabulary_bert_uncased.gguf");
  GgufFile file = GgufFile::parse(std::as_bytes(std::span(bytes)), "m.gguf");
  test::Heard heard;
  const GgufTokenizer plain = gguf_tokenizer(file, heard.warning());
  EXPECT_TRUE(heard.sentences.empty());
  for (const char* key :
       {"tokenizer.ggml.add_bos_token", "tokenizer.ggml.add_eos_token", "tokenizer.ggml.add_sep_token"}) {
    file.values.insert_or_assign(key, GgufValue{GgufKind::boolean, false});
    EXPECT_EQ(gguf_tokenizer(file, heard.warning()).json, plain.json) << key;
  }
  EXPECT_THAT(heard.sentences,
              ::testing::Contains(HasSubstr("\"tokenizer.ggml.add_bos_token\" is false, which is ignored")));
}

}  // namespace
}  // namespace mlxe::gguf_settings_test
