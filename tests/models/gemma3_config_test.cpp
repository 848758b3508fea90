// The config keys of Gemma 3, of transformers 4 and 5.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "models/gemma3.h"
#include "test_files.h"

namespace mlxe::test::gemma3_config_test {
namespace {

using testing::HasSubstr;

LlamaConfig read(const nlohmann::json& changes) {
  nlohmann::json json{{"vocab_size", 100},       {"hidden_size", 64},          {"num_attention_heads", 4},
                      {"intermediate_size", 96}, {"num_hidden_layers", 3},     {"model_type", "gemma3_text"},
                      {"sliding_window", 9},     {"sliding_window_pattern", 2}};
  if (!changes.is_null()) json.update(changes);
  return read_gemma3_config(Config::parse(json.dump(), "config.json"));
}

// "4/10000/1": a window of 4, a base of 10,000 and positions divided by 1; "4+": of tokens before alone.
std::vector<std::string> layers_of(const nlohmann::json& changes) {
  std::vector<std::string> layers;
  for (const AttentionSpec& spec : read(changes).layers)
    layers.push_back(fmt::format("{}{}/{}/{}", spec.window, spec.causal ? "+" : "", spec.rotary->base,
                                 1 / spec.rotary->scale));
  return layers;
}

TEST(Gemma3Config, WindowsAndBases) {
  using Layers = std::vector<std::string>;
  EXPECT_EQ(layers_of({}), (Layers{"8+/10000/1", "0+/1000000/1", "8+/10000/1"}));
  EXPECT_EQ(layers_of({{"use_bidirectional_attention", true}}),
            (Layers{"4/10000/1", "0/1000000/1", "4/10000/1"}));
  EXPECT_EQ(layers_of({{"use_bidirectional_attention", true}, {"sliding_window", 8}}),
            (Layers{"4/10000/1", "0/1000000/1", "4/10000/1"}));
  EXPECT_EQ(layers_of({{"layer_types", {"full_attention", "full_attention", "sliding_attention"}}}),
            (Layers{"0+/1000000/1", "0+/1000000/1", "8+/10000/1"}));
  EXPECT_EQ(layers_of({{"rope_theta", 500.0},
                       {"rope_local_base_freq", 50.0},
                       {"rope_scaling", {{"rope_type", "linear"}, {"factor", 8.0}}}}),
            (Layers{"8+/50/1", "0+/500/8", "8+/50/1"}));
  EXPECT_EQ(layers_of({{"rope_scaling", {{"type", "linear"}, {"factor", 8}}}})[1], "0+/1000000/8");
  EXPECT_EQ(
      layers_of({{"rope_parameters",
                  {{"full_attention", {{"rope_type", "linear"}, {"factor", 4.0}, {"rope_theta", 700.0}}},
                   {"sliding_attention", {{"rope_type", "default"}, {"rope_theta", 70.0}}}}}}),
      (Layers{"8+/70/1", "0+/700/4", "8+/70/1"}));
}

TEST(Gemma3Config, DefaultsAreThoseOfTransformers) {
  const LlamaConfig config = read({{"sliding_window", nullptr}, {"sliding_window_pattern", nullptr}});
  EXPECT_EQ(config.head_size, 256);
  EXPECT_EQ(config.max_positions, 131072);
  EXPECT_EQ(config.norm_epsilon, 1e-6f);
  EXPECT_EQ(config.activation, Activation::gelu_tanh);
  EXPECT_EQ(config.attention_bias, Bias::no);
  EXPECT_EQ(config.layers[0].kv_heads, 4);
  EXPECT_EQ(config.layers[0].scale, 1 / 16.0f);
  EXPECT_EQ(config.layers[2].window, 4095) << "the sixth layer would be the first without";
}

TEST(Gemma3Config, WhatIsNotComputedIsRefused) {
  const auto refusal = [](const nlohmann::json& changes, ErrorCode code) {
    return error_text([&] { read(changes); }, code);
  };
  EXPECT_THAT(refusal({{"attn_logit_softcapping", 50.0}}, ErrorCode::unsupported),
              HasSubstr("\"attn_logit_softcapping\" is 50.0; capped attention scores are not computed"));
  EXPECT_THAT(refusal({{"rope_scaling", {{"rope_type", "yarn"}, {"factor", 4.0}}}}, ErrorCode::unsupported),
              HasSubstr("\"rope_type\" is \"yarn\"; only plain and linearly scaled"));
  EXPECT_THAT(refusal({{"rope_scaling", {{"rope_type", "linear"}, {"factor", 0.5}}}}, ErrorCode::format),
              HasSubstr("\"factor\" is 0.5, expected a number from 1 on"));
  EXPECT_THAT(refusal({{"rope_scaling", {{"rope_type", "linear"}}}}, ErrorCode::format),
              HasSubstr("\"factor\" is missing"));
  EXPECT_THAT(refusal({{"rope_scaling", {{"rope_type", "default"}, {"partial_rotary_factor", 0.5}}}},
                      ErrorCode::unsupported),
              HasSubstr("\"rope_scaling\": has \"partial_rotary_factor\""));
  EXPECT_THAT(refusal({{"use_bidirectional_attention", true}, {"sliding_window", 1}}, ErrorCode::unsupported),
              HasSubstr("\"sliding_window\" is 1"));
  EXPECT_THAT(refusal({{"query_pre_attn_scalar", 0}}, ErrorCode::format),
              HasSubstr("\"query_pre_attn_scalar\" is 0"));
  EXPECT_THAT(refusal({{"rope_theta", 0}}, ErrorCode::format),
              HasSubstr("the base of rotary positions is 0"));
}

}  // namespace
}  // namespace mlxe::test::gemma3_config_test
