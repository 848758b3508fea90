// The config keys of Qwen3, of transformers 4 and 5.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "models/qwen3.h"
#include "test_files.h"

namespace mlxe::test::qwen3_config_test {
namespace {

using testing::HasSubstr;

LlamaConfig read(const nlohmann::json& changes) {
  nlohmann::json json{{"vocab_size", 100},        {"hidden_size", 64},
                      {"num_attention_heads", 4}, {"num_key_value_heads", 2},
                      {"intermediate_size", 96},  {"num_hidden_layers", 3},
                      {"rope_theta", 1e6},        {"max_position_embeddings", 128},
                      {"model_type", "qwen3"}};
  if (!changes.is_null()) json.merge_patch(changes);
  for (const char* key : {"sliding_window", "num_key_value_heads"})
    if (changes.contains(key) && changes[key].is_null()) json[key] = nullptr;  // which merge_patch removes
  return read_qwen3_config(Config::parse(json.dump(), "config.json"));
}

// "window/base" of each layer.
std::vector<std::string> layers_of(const nlohmann::json& changes) {
  std::vector<std::string> layers;
  for (const AttentionSpec& spec : read(changes).layers) {
    EXPECT_TRUE(spec.causal && spec.norms);
    layers.push_back(std::to_string(spec.window) + "/" + std::to_string(static_cast<int>(spec.rotary->base)));
  }
  return layers;
}

TEST(Qwen3Config, KeysOfTransformers4And5) {
  using Layers = std::vector<std::string>;
  const Layers full{"0/1000000", "0/1000000", "0/1000000"};
  EXPECT_EQ(layers_of({{"rope_scaling", nullptr}, {"use_sliding_window", false}, {"sliding_window", 8}}),
            full);
  EXPECT_EQ(layers_of({{"use_sliding_window", true}, {"sliding_window", nullptr}, {"max_window_layers", 1}}),
            full);
  EXPECT_EQ(layers_of({{"use_sliding_window", true}, {"sliding_window", 8}, {"max_window_layers", 1}}),
            (Layers{"0/1000000", "7/1000000", "7/1000000"}));
  EXPECT_EQ(layers_of({{"use_sliding_window", true},
                       {"sliding_window", 8},
                       {"layer_types", {"sliding_attention", "full_attention", "full_attention"}}}),
            (Layers{"7/1000000", "0/1000000", "0/1000000"}));
  EXPECT_EQ(layers_of({{"rope_theta", nullptr},
                       {"rope_parameters", {{"rope_type", "default"}, {"rope_theta", 5000.0}}}}),
            (Layers{"0/5000", "0/5000", "0/5000"}));
}

TEST(Qwen3Config, DefaultsAreThoseOfTransformers) {
  const LlamaConfig config = read({});
  EXPECT_EQ(config.head_size, 128);
  EXPECT_EQ(config.norm_epsilon, 1e-6f);
  EXPECT_EQ(config.activation, Activation::silu);
  EXPECT_EQ(config.attention_bias, Bias::no);
  EXPECT_EQ(read({{"num_key_value_heads", nullptr}}).layers[0].kv_heads, 4);
}

TEST(Qwen3Config, WhatIsNotComputedIsRefused) {
  const auto refusal = [](const nlohmann::json& changes, ErrorCode code) {
    return error_text([&] { read(changes); }, code);
  };
  EXPECT_THAT(refusal({{"rope_scaling", {{"rope_type", "yarn"}, {"factor", 4.0}}}}, ErrorCode::unsupported),
              HasSubstr("\"rope_type\" is \"yarn\"; only plain rotary positions are computed"));
  EXPECT_THAT(refusal({{"rope_scaling", {{"type", "linear"}, {"factor", 4.0}}}}, ErrorCode::unsupported),
              HasSubstr("\"type\" is \"linear\""));
  EXPECT_THAT(refusal({{"rope_parameters", {{"partial_rotary_factor", 0.5}}}}, ErrorCode::unsupported),
              HasSubstr("\"rope_parameters\": has \"partial_rotary_factor\""));
  EXPECT_THAT(refusal({{"rope_theta", nullptr}}, ErrorCode::format), HasSubstr("no positive \"rope_theta\""));
  EXPECT_THAT(refusal({{"layer_types", {"full_attention", "full_attention", "sliding_attention"}}},
                      ErrorCode::format),
              HasSubstr("\"layer_types\" has sliding_attention, but \"use_sliding_window\""));
  EXPECT_THAT(refusal({{"layer_types", {"chunked_attention", "full_attention", "full_attention"}}},
                      ErrorCode::unsupported),
              HasSubstr("\"layer_types\" has \"chunked_attention\""));
  EXPECT_THAT(refusal({{"use_sliding_window", true}, {"sliding_window", 1}}, ErrorCode::unsupported),
              HasSubstr("\"sliding_window\" is 1"));
  EXPECT_THAT(refusal({{"num_key_value_heads", 3}}, ErrorCode::format), HasSubstr("does not divide 4 heads"));
  EXPECT_THAT(refusal({{"head_dim", 15}}, ErrorCode::format),
              HasSubstr("heads have 15 columns (\"head_dim\")"));
  EXPECT_THAT(refusal({{"is_causal", false}}, ErrorCode::unsupported), HasSubstr("\"is_causal\" is false"));
}

}  // namespace
}  // namespace mlxe::test::qwen3_config_test
