// The config keys of families that were published with code of their own: EuroBERT.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "models/eurobert.h"
#include "test_files.h"

namespace mlxe::test::published_config_test {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;

constexpr ErrorCode kRefused = ErrorCode::unsupported, kWrong = ErrorCode::format;

Config changed(json all, const json& changes) {
  for (const auto& [key, value] : changes.items()) {
    if (value == "absent")
      all.erase(key);
    else
      all[key] = value;
  }
  return Config::parse(all.dump(), "config.json");
}

const json kEuroBert{
    {"model_type", "eurobert"}, {"vocab_size", 100},        {"hidden_size", 64},
    {"num_hidden_layers", 2},   {"num_attention_heads", 4}, {"intermediate_size", 96},
    {"rope_theta", 250000},     {"rope_scaling", nullptr},  {"max_position_embeddings", 128}};

TEST(EuroBertConfig, KeysOfBothVersions) {
  const auto read = [](const json& changes) { return read_eurobert_config(changed(kEuroBert, changes)); };
  const EuroBertConfig config = read({});
  EXPECT_EQ(config.attention.rotary->base, 250000);
  EXPECT_EQ(config.attention.kv_heads, 4);
  EXPECT_FALSE(config.attention.causal);
  EXPECT_EQ(config.head_size, 16);
  EXPECT_EQ(config.norm_epsilon, 1e-5f);
  EXPECT_EQ(config.activation, Activation::silu);
  EXPECT_EQ(config.mlp_bias, Bias::no);
  const json parameters{{"rope_type", "default"}, {"rope_theta", 5000.0}};
  EXPECT_EQ(read({{"rope_theta", "absent"}, {"rope_parameters", parameters}}).attention.rotary->base, 5000);
  EXPECT_EQ(read({{"head_dim", 32}, {"num_key_value_heads", 2}}).head_size, 32);
}

TEST(EuroBertConfig, WhatIsNotComputedIsRefused) {
  const auto refusal = [](const json& changes, ErrorCode code) {
    return error_text([&] { make_eurobert(changed(kEuroBert, changes)); }, code);
  };
  EXPECT_THAT(refusal({{"rope_scaling", {{"rope_type", "yarn"}}}}, kRefused),
              HasSubstr("only plain rotary positions are computed"));
  EXPECT_THAT(refusal({{"rope_theta", "absent"}}, kWrong), HasSubstr("no positive \"rope_theta\""));
  EXPECT_THAT(refusal({{"num_key_value_heads", 3}}, kWrong), HasSubstr("\"num_key_value_heads\" 3"));
  EXPECT_THAT(refusal({{"head_dim", 15}}, kWrong), HasSubstr("15 columns"));
  EXPECT_THAT(refusal({{"auto_map", {{"AutoModel", "modeling_mine.MyModel"}}}}, kRefused),
              AllOf(HasSubstr("\"auto_map\" has \"modeling_mine.MyModel\""), HasSubstr("\"eurobert\"")));
  EXPECT_THAT(refusal({{"auto_map", {{"AutoModel", 3}}}}, kRefused), HasSubstr("\"auto_map\" has 3"));
  EXPECT_THAT(refusal({{"auto_map", "EuroBertModel"}}, kRefused), HasSubstr("\"auto_map\" has"));
  EXPECT_NO_THROW(
      make_eurobert(changed(kEuroBert, {{"auto_map", {{"AutoModel", "modeling_eurobert.EuroBertModel"}}}})));
}

TEST(EuroBertConfig, PoolingOfTheClassifier) {
  const auto head = [](const json& changes) { return eurobert_classifier(changed(kEuroBert, changes)); };
  EXPECT_TRUE(head({}).pools_logits);
  EXPECT_TRUE(head({{"clf_pooling", "late"}}).pools_logits);
  EXPECT_FALSE(head({{"clf_pooling", "mean"}}).pools_logits);
  EXPECT_EQ(head({{"clf_pooling", "mean"}}).pooling, PoolingKind::mean);
  EXPECT_EQ(head({{"classifier_pooling", "bos"}}).pooling, PoolingKind::cls);
  EXPECT_THAT(error_text(
                  [&] {
                    head({{"classifier_pooling", "last"}});
                  },
                  kRefused),
              HasSubstr("\"last\", expected bos, mean or late"));
  EXPECT_THAT(error_text(
                  [&] {
                    head({{"classifier_pooling", "bos"}, {"clf_pooling", "late"}});
                  },
                  kWrong),
              HasSubstr("\"classifier_pooling\" is \"bos\", but \"clf_pooling\" is \"late\""));
}

}  // namespace
}  // namespace mlxe::test::published_config_test
