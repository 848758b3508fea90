// The config keys of T5.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "models/t5.h"
#include "test_files.h"

namespace mlxe::test::t5_config_test {
namespace {

using testing::HasSubstr;

T5Config read(const nlohmann::json& changes) {
  nlohmann::json json{
      {"d_model", 64}, {"d_ff", 96}, {"num_layers", 3}, {"num_heads", 6}, {"model_type", "t5"}};
  if (!changes.is_null()) json.update(changes);
  return read_t5_config(Config::parse(json.dump(), "config.json"));
}

TEST(T5Config, DefaultsAreThoseOfTransformers) {
  const T5Config config = read({});
  EXPECT_EQ(config.vocab_size, 32128);
  EXPECT_EQ(config.head_size, 64);
  EXPECT_EQ(config.norm_epsilon, 1e-6f);
  EXPECT_EQ(config.attention.relative_bias->buckets, 32);
  EXPECT_EQ(config.attention.relative_bias->max_distance, 128);
  EXPECT_EQ(config.attention.scale, 1.0f);
  EXPECT_EQ(config.activation, Activation::relu);
  EXPECT_FALSE(config.gated);
}

TEST(T5Config, FeedForwards) {
  const auto is = [](const nlohmann::json& changes, Activation activation, bool gated) {
    const T5Config config = read(changes);
    EXPECT_EQ(config.activation, activation) << changes;
    EXPECT_EQ(config.gated, gated) << changes;
  };
  is({{"feed_forward_proj", "gated-gelu"}}, Activation::gelu_tanh, true);
  is({{"feed_forward_proj", "gated-silu"}}, Activation::silu, true);
  is({{"feed_forward_proj", "gelu"}}, Activation::gelu_erf, false);
  // Sets the attributes that T5Config derives.
  is({{"feed_forward_proj", "gated-gelu"}, {"dense_act_fn", "gelu"}}, Activation::gelu_erf, true);
  is({{"feed_forward_proj", "relu"}, {"is_gated_act", true}}, Activation::relu, true);
}

TEST(T5Config, WhatIsNotComputedIsRefused) {
  EXPECT_THAT(error_text(
                  [] {
                    read({{"feed_forward_proj", "gated-mish"}});
                  },
                  ErrorCode::unsupported),
              HasSubstr("\"feed_forward_proj\" is \"mish\", which this version can't compute"));
  EXPECT_THAT(
      error_text(
          [] {
            read({{"relative_attention_num_buckets", 2}});
          },
          ErrorCode::format),
      HasSubstr("\"relative_attention_num_buckets\" is 2 and \"relative_attention_max_distance\" 128"));
  EXPECT_THAT(error_text(
                  [] {
                    read({{"relative_attention_max_distance", 8}});
                  },
                  ErrorCode::format),
              HasSubstr("a distance above a quarter of them"));
}

}  // namespace
}  // namespace mlxe::test::t5_config_test
