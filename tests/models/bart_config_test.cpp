// The config keys of BART and mBART.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "models/bart.h"
#include "models/changed_config.h"
#include "test_files.h"

namespace mlxe::test::bart_config_test {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::IsEmpty;

// As of facebook/bart-large-mnli.
const json kMnli = json::parse(R"({
  "_num_labels": 3, "activation_dropout": 0.0, "activation_function": "gelu", "add_final_layer_norm": false,
  "architectures": ["BartForSequenceClassification"], "attention_dropout": 0.0, "bos_token_id": 0,
  "classif_dropout": 0.0, "classifier_dropout": 0.0, "d_model": 1024, "decoder_attention_heads": 16,
  "decoder_ffn_dim": 4096, "decoder_layerdrop": 0.0, "decoder_layers": 12, "decoder_start_token_id": 2,
  "dropout": 0.1, "encoder_attention_heads": 16, "encoder_ffn_dim": 4096, "encoder_layerdrop": 0.0,
  "encoder_layers": 12, "eos_token_id": 2, "forced_eos_token_id": 2, "gradient_checkpointing": false,
  "id2label": {"0": "contradiction", "1": "neutral", "2": "entailment"}, "init_std": 0.02,
  "is_encoder_decoder": true, "label2id": {"contradiction": 0, "entailment": 2, "neutral": 1},
  "max_position_embeddings": 1024, "model_type": "bart", "normalize_before": false, "num_hidden_layers": 12,
  "output_past": false, "pad_token_id": 1, "scale_embedding": false, "transformers_version": "4.7.0.dev0",
  "use_cache": true, "vocab_size": 50265})");

TEST(BartConfigKeys, TablesOfWordsThatDifferAreRefused) {
  EXPECT_NO_THROW(read_bart_config(changed(kMnli, {{"tie_word_embeddings", true}}), BartKind::bart));
  EXPECT_THAT(error_text(
                  [] {
                    read_bart_config(changed(kMnli, {{"tie_word_embeddings", false}}), BartKind::bart);
                  },
                  ErrorCode::unsupported),
              HasSubstr("\"tie_word_embeddings\" is false; the encoder and the decoder read one table"));
}

TEST(BartConfigKeys, OfBartLargeMnli) {
  const Config published = changed(kMnli, json::object());
  const BartConfig config = read_bart_config(published, BartKind::bart);
  EXPECT_EQ(config.encoder.layers, 12);
  EXPECT_EQ(config.decoder.heads, 16);
  EXPECT_EQ(config.decoder.feed_forward_width, 4096);
  EXPECT_EQ(config.activation, Activation::gelu_erf);
  EXPECT_FALSE(config.scales_words);
  EXPECT_EQ(config.padding_id, 1);
  EXPECT_EQ(config.start_id, 2);
  EXPECT_EQ(config.end_id, 2);
  EXPECT_THAT(published.unknown_keys(), IsEmpty());
  const Plan plan = bart(config);
  EXPECT_EQ(plan.max_tokens, 1024);
  EXPECT_EQ(plan.layers(), 24);
  EXPECT_EQ(plan.vocab_size, 50265);
  EXPECT_EQ(plan.token_types, 0);
  int64_t values = 0;
  for (const Parameter& p : plan.parameters) values += element_count(p.shape);
  EXPECT_EQ(values, 406291456);  // what BartModel(BartConfig()) has
}

TEST(BartConfigKeys, MayDiffer) {
  const BartConfig config = read_bart_config(changed(kMnli, {{"eos_token_id", 102},
                                                             {"decoder_start_token_id", 103},
                                                             {"pad_token_id", 0},
                                                             {"activation_function", "relu"},
                                                             {"scale_embedding", true},
                                                             {"decoder_layers", 1}}),
                                             BartKind::bart);
  EXPECT_EQ(config.end_id, 102);
  EXPECT_EQ(config.start_id, 103);
  EXPECT_EQ(config.padding_id, 0);
  EXPECT_EQ(config.activation, Activation::relu);
  EXPECT_TRUE(config.scales_words);
  EXPECT_EQ(config.decoder.layers, 1);
  const json absent{
      {"eos_token_id", "absent"}, {"decoder_start_token_id", "absent"}, {"pad_token_id", "absent"}};
  const BartConfig defaults = read_bart_config(changed(kMnli, absent), BartKind::bart);
  EXPECT_EQ(defaults.end_id, 2);
  EXPECT_EQ(defaults.start_id, 2);
  EXPECT_EQ(defaults.padding_id, 1);
  // mBART's decoder begins with the text's language, whatever this key says.
  const json mbart{
      {"decoder_start_token_id", nullptr}, {"normalize_before", true}, {"add_final_layer_norm", true}};
  EXPECT_NO_THROW(read_bart_config(changed(kMnli, mbart), BartKind::mbart));
}

TEST(BartConfigKeys, WhatIsNotComputedIsRefused) {
  const auto refusal = [](const json& changes, ErrorCode code, BartKind kind = BartKind::bart) {
    return error_text([&] { read_bart_config(changed(kMnli, changes), kind); }, code);
  };
  for (const json& other : {json{{"normalize_before", true}}, json{{"add_final_layer_norm", true}},
                            json{{"normalize_embedding", false}}, json{{"static_position_embeddings", true}},
                            json{{"extra_pos_embeddings", 3}}, json{{"do_blenderbot_90_layernorm", true}}})
    EXPECT_THAT(refusal(other, ErrorCode::unsupported),
                HasSubstr("transformers has not computed this variant since its version 4"))
        << other;
  EXPECT_THAT(refusal({{"normalize_before", false}}, ErrorCode::unsupported, BartKind::mbart),
              HasSubstr("\"normalize_before\" is false"));
  EXPECT_THAT(refusal({{"is_encoder_decoder", false}}, ErrorCode::unsupported),
              HasSubstr("only the encoder and the decoder together are computed"));
  EXPECT_THAT(refusal({{"decoder_attention_heads", 3}}, ErrorCode::format),
              HasSubstr("\"d_model\" is 1024, which \"decoder_attention_heads\" 3 does not divide"));
  EXPECT_THAT(refusal({{"eos_token_id", 50265}}, ErrorCode::format),
              HasSubstr("\"eos_token_id\" is 50265, expected a token of \"vocab_size\" 50265"));
  EXPECT_THAT(refusal({{"decoder_start_token_id", -1}}, ErrorCode::format),
              HasSubstr("\"decoder_start_token_id\" is -1"));
}

}  // namespace
}  // namespace mlxe::test::bart_config_test
