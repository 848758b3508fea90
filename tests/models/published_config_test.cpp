// The config keys of families that were published with code of their own: EuroBERT, NomicBERT, GTE and JinaBERT.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>

#include "models/changed_config.h"
#include "models/eurobert.h"
#include "models/gte.h"
#include "models/jina_bert.h"
#include "models/jina_xlm_roberta.h"
#include "models/nomic_bert.h"
#include "models/registry.h"
#include "test_files.h"

namespace mlxe::test::published_config_test {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;

constexpr ErrorCode kRefused = ErrorCode::unsupported, kWrong = ErrorCode::format;

const json kEuroBert{
    {"model_type", "eurobert"}, {"vocab_size", 100},        {"hidden_size", 64},
    {"num_hidden_layers", 2},   {"num_attention_heads", 4}, {"intermediate_size", 96},
    {"rope_theta", 250000},     {"rope_scaling", nullptr},  {"max_position_embeddings", 128}};

TEST(EuroBertConfig, KeysOfBothVersions) {
  const auto read = [](const json& changes) { return read_eurobert_config(changed(kEuroBert, changes)); };
  const LlamaConfig config = read({});
  EXPECT_EQ(config.layers[0].rotary->base, 250000);
  EXPECT_EQ(config.layers[0].kv_heads, 4);
  EXPECT_FALSE(config.layers[0].causal);
  EXPECT_EQ(config.head_size, 16);
  EXPECT_EQ(config.norm_epsilon, 1e-5f);
  EXPECT_EQ(config.activation, Activation::silu);
  EXPECT_EQ(config.mlp_bias, Bias::no);
  const json parameters{{"rope_type", "default"}, {"rope_theta", 5000.0}};
  EXPECT_EQ(read({{"rope_theta", "absent"}, {"rope_parameters", parameters}}).layers[0].rotary->base, 5000);
  EXPECT_EQ(read({{"head_dim", 32}, {"num_key_value_heads", 2}}).head_size, 32);
}

TEST(EuroBertConfig, WhatIsNotComputedIsRefused) {
  const auto refusal = [](const json& changes, ErrorCode code) {
    return error_text([&] { make_eurobert(changed(kEuroBert, changes)); }, code);
  };
  EXPECT_THAT(refusal({{"rope_scaling", {{"rope_type", "yarn"}}}}, kRefused),
              HasSubstr("only plain rotary positions are computed"));
  EXPECT_THAT(refusal({{"rope_theta", "absent"}}, kWrong), HasSubstr("no positive \"rope_theta\""));
  EXPECT_THAT(refusal({{"num_key_value_heads", 3}}, kWrong), HasSubstr("\"num_key_value_heads\" is 3"));
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

const json kNomic{{"model_type", "nomic_bert"},
                  {"vocab_size", 100},
                  {"n_embd", 64},
                  {"n_head", 4},
                  {"n_layer", 2},
                  {"n_inner", 96},
                  {"n_positions", 8192},
                  {"activation_function", "swiglu"},
                  {"qkv_proj_bias", false},
                  {"mlp_fc1_bias", false},
                  {"mlp_fc2_bias", false},
                  {"rotary_emb_base", 1000},
                  {"rotary_emb_fraction", 1.0},
                  {"rotary_emb_interleaved", false},
                  {"rotary_scaling_factor", nullptr}};

TEST(NomicBertConfig, KeysOfBothVersions) {
  const auto read = [](const json& changes) { return read_nomic_bert_config(changed(kNomic, changes)); };
  const NomicBertConfig published = read({});
  EXPECT_EQ(published.hidden_size, 64);
  EXPECT_EQ(published.attention.rotary->base, 1000);
  EXPECT_EQ(published.type_vocab_size, 2);
  EXPECT_EQ(published.activation, Activation::silu);
  // Published files have keys of both versions by now.
  EXPECT_EQ(
      read({{"hidden_size", 64}, {"hidden_act", "silu"}, {"max_position_embeddings", 2048}}).max_positions,
      8192);
  const json native{{"model_type", "nomic_bert"},
                    {"vocab_size", 100},
                    {"hidden_size", 64},
                    {"num_attention_heads", 4},
                    {"num_hidden_layers", 2},
                    {"intermediate_size", 96},
                    {"max_position_embeddings", 2048},
                    {"rope_parameters", {{"rope_type", "default"}, {"rope_theta", 500.0}}}};
  EXPECT_EQ(read_nomic_bert_config(changed(native, {})).attention.rotary->base, 500);
  EXPECT_EQ(read_nomic_bert_config(changed(native, {})).max_positions, 2048);
}

TEST(NomicBertConfig, WhatIsNotComputedIsRefused) {
  const auto refusal = [](const json& changes, ErrorCode code) {
    return error_text([&] { make_nomic_bert(changed(kNomic, changes)); }, code);
  };
  EXPECT_THAT(
      refusal({{"moe_every_n_layers", 2}, {"num_experts", 8}, {"activation_function", "gelu"}}, kRefused),
      HasSubstr("\"moe_every_n_layers\" is 2; mixtures of experts are not computed"));
  EXPECT_THAT(refusal({{"activation_function", "geglu"}}, kRefused), HasSubstr("only a gate with SiLU"));
  EXPECT_THAT(refusal({{"qkv_proj_bias", true}}, kRefused), HasSubstr("\"qkv_proj_bias\" is true"));
  // The published code's own default is true.
  EXPECT_THAT(refusal({{"qkv_proj_bias", "absent"}}, kWrong),
              HasSubstr("no \"qkv_proj_bias\", expected false"));
  EXPECT_THAT(refusal({{"rotary_emb_fraction", 0.5}}, kRefused), HasSubstr("whole heads"));
  EXPECT_THAT(refusal({{"rotary_emb_interleaved", true}}, kRefused), HasSubstr("plain rotary positions"));
  EXPECT_THAT(refusal({{"rotary_scaling_factor", 2}}, kRefused), HasSubstr("\"rotary_scaling_factor\" is 2"));
  EXPECT_THAT(refusal({{"prenorm", true}}, kRefused), HasSubstr("\"prenorm\" is true"));
  EXPECT_THAT(refusal({{"use_rms_norm", true}}, kRefused), HasSubstr("only layer norms"));
  EXPECT_THAT(refusal({{"hidden_size", 32}}, kWrong),
              HasSubstr("\"hidden_size\" is 32, but \"n_embd\" is 64"));
  EXPECT_THAT(refusal({{"n_head", 3}}, kWrong), HasSubstr("for each of 3 heads"));
}

const json kNew{{"model_type", "new"},
                {"vocab_size", 100},
                {"hidden_size", 64},
                {"num_attention_heads", 4},
                {"num_hidden_layers", 2},
                {"intermediate_size", 96},
                {"max_position_embeddings", 128},
                {"position_embedding_type", "rope"},
                {"rope_theta", 20000},
                {"type_vocab_size", 1}};

TEST(GteConfig, KeysOfBothVersions) {
  const auto rotary = [](const json& changes) {
    return *read_gte_config(changed(kNew, changes)).attention.rotary;
  };
  EXPECT_EQ(rotary({}).base, 20000);
  EXPECT_EQ(rotary({}).scale, 1);
  const json ntk{{"type", "ntk"}, {"factor", 8.0}};
  EXPECT_EQ(rotary({{"rope_scaling", ntk}}).base, 160000);
  EXPECT_FLOAT_EQ(rotary({{"rope_scaling", ntk}}).scale, static_cast<float>(std::pow(8.0, -2.0 / 16)));
  const json parameters{{"rope_type", "default"}, {"rope_theta", 160000.0}};
  EXPECT_EQ(rotary({{"rope_theta", "absent"}, {"rope_parameters", parameters}}).base, 160000);
  EXPECT_EQ(read_gte_config(changed(kNew, {{"type_vocab_size", 0}})).type_vocab_size, 0);
  EXPECT_EQ(read_gte_config(changed(kNew, {{"type_vocab_size", "absent"}})).type_vocab_size, 1);
}

TEST(GteConfig, WhatIsNotComputedIsRefused) {
  const auto refusal = [](const json& changes, ErrorCode code) {
    return error_text([&] { make_gte(changed(kNew, changes)); }, code);
  };
  EXPECT_THAT(refusal({{"rope_scaling", {{"type", "linear"}, {"factor", 2.0}}}}, kRefused),
              HasSubstr("only plain rotary positions are computed"));
  EXPECT_THAT(refusal({{"rope_scaling", {{"type", "ntk"}, {"factor", 2.0}, {"mixed_b", 0.6}}}}, kRefused),
              HasSubstr("\"mixed_b\" is 0.6"));
  EXPECT_THAT(refusal({{"rope_scaling", {{"type", "ntk"}, {"factor", 2.0}, {"beta", 1}}}}, kRefused),
              HasSubstr("has \"beta\""));
  EXPECT_THAT(refusal({{"rope_scaling", {{"type", "ntk"}, {"factor", 0.5}}}}, kWrong),
              HasSubstr("the factor of \"rope_scaling\" 0.5"));
  EXPECT_THAT(refusal({{"position_embedding_type", "absolute"}}, kRefused),
              HasSubstr("only rotary positions"));
  EXPECT_THAT(refusal({{"layer_norm_type", "rms_norm"}}, kRefused), HasSubstr("only layer norms"));
  EXPECT_THAT(refusal({{"pack_qkv", false}}, kRefused), HasSubstr("\"pack_qkv\" is false"));
  EXPECT_THAT(refusal({{"logn_attention_scale", true}}, kRefused),
              HasSubstr("\"logn_attention_scale\" is true"));
  EXPECT_THAT(refusal({{"type_vocab_size", -1}}, kWrong), HasSubstr("\"type_vocab_size\""));
  EXPECT_THAT(refusal({{"auto_map", {{"AutoModel", "other.BertModel"}}}}, kRefused),
              HasSubstr("\"auto_map\""));
}

const json kJina{
    {"model_type", "bert"},
    {"_name_or_path", "jinaai/jina-bert-implementation"},
    {"auto_map", {{"AutoModel", "jinaai/jina-bert-implementation--modeling_bert.JinaBertModel"}}},
    {"vocab_size", 100},
    {"hidden_size", 48},
    {"num_attention_heads", 6},
    {"num_hidden_layers", 2},
    {"intermediate_size", 96},
    {"hidden_act", "gelu"},
    {"max_position_embeddings", 8192},
    {"position_embedding_type", "alibi"},
    {"feed_forward_type", "geglu"},
    {"emb_pooler", "mean"}};
const json kQueryNorms{
    {"_name_or_path", "somebody/model"},
    {"auto_map", {{"AutoModel", "jinaai/jina-bert-v2-qk-post-norm--modeling_bert.JinaBertModel"}}}};

TEST(JinaBertConfig, KeysOfBothRepositories) {
  const auto read = [](const json& changes) { return read_jina_bert_config(changed(kJina, changes)); };
  const JinaBertConfig config = read({});
  EXPECT_EQ(config.heads, 6);
  EXPECT_EQ(config.max_positions, 8192);
  EXPECT_EQ(config.type_vocab_size, 2);
  EXPECT_TRUE(config.gated);
  EXPECT_FALSE(config.query_norms);
  EXPECT_EQ(config.activation, Activation::gelu_erf);
  EXPECT_TRUE(read(kQueryNorms).query_norms);
  // A conversion does not keep this key, so it decides nothing.
  EXPECT_FALSE(read({{"_name_or_path", "jinaai/jina-bert-v2-qk-post-norm"},
                     {"auto_map", {{"AutoModel", "modeling_bert.JinaBertModel"}}}})
                   .query_norms);
  EXPECT_FALSE(read({{"_name_or_path", "absent"}, {"auto_map", "absent"}}).query_norms);
  // The gate's name says its activation, "hidden_act" does not.
  EXPECT_EQ(read({{"feed_forward_type", "reglu"}}).activation, Activation::relu);
  const JinaBertConfig original = read({{"feed_forward_type", "original"}, {"hidden_act", "gelu_new"}});
  EXPECT_FALSE(original.gated);
  EXPECT_EQ(original.activation, Activation::gelu_tanh);
}

TEST(JinaBertConfig, WhatIsNotComputedIsRefused) {
  const auto refusal = [](const json& changes, ErrorCode code) {
    return error_text([&] { make_jina_bert(changed(kJina, changes)); }, code);
  };
  EXPECT_THAT(refusal({{"position_embedding_type", "absolute"}}, kRefused),
              HasSubstr("\"position_embedding_type\" is \"absolute\"; other positions"));
  EXPECT_THAT(refusal({{"position_embedding_type", "absent"}}, kRefused), HasSubstr("is absent"));
  EXPECT_THAT(refusal({{"feed_forward_type", "swiglu"}}, kRefused),
              HasSubstr("\"swiglu\", expected geglu, reglu or original"));
  EXPECT_THAT(refusal({{"feed_forward_type", "absent"}}, kWrong), HasSubstr("\"feed_forward_type\""));
  EXPECT_THAT(refusal({{"hidden_size", 50}}, kWrong), HasSubstr("\"num_attention_heads\" 6 does not divide"));
  json without_gate = kQueryNorms;
  without_gate["feed_forward_type"] = "original";
  EXPECT_THAT(refusal(without_gate, kRefused), HasSubstr("norms of queries and keys"));
  // MosaicBERT, which is none of Jina's.
  EXPECT_THAT(refusal({{"auto_map", {{"AutoModel", "bert_layers.BertModel"}}}}, kRefused),
              AllOf(HasSubstr("\"auto_map\" has \"bert_layers.BertModel\""), HasSubstr("\"JinaBERT\"")));
}

// ---- jina-embeddings-v3 and its relatives

const json kJinaV3{{"model_type", "xlm-roberta"},
                   {"auto_map",
                    {{"AutoConfig", "configuration_xlm_roberta.XLMRobertaFlashConfig"},
                     {"AutoModel", "modeling_lora.XLMRobertaLoRA"}}},
                   {"vocab_size", 100},
                   {"hidden_size", 48},
                   {"num_attention_heads", 6},
                   {"num_hidden_layers", 2},
                   {"intermediate_size", 96},
                   {"max_position_embeddings", 8194},
                   {"position_embedding_type", "rotary"},
                   {"rotary_emb_base", 500.0},
                   {"truncate_dim", nullptr}};

TEST(JinaXlmRobertaConfig, KeysOfBothSources) {
  const auto read = [](const json& changes) {
    return read_jina_xlm_roberta_config(changed(kJinaV3, changes));
  };
  const JinaXlmRobertaConfig config = read({});
  EXPECT_EQ(config.attention.rotary->base, 500);
  EXPECT_FALSE(config.padding_id);
  EXPECT_EQ(config.max_positions, 8194);
  EXPECT_EQ(read({{"rotary_emb_base", "absent"}}).attention.rotary->base, 20000);
  const JinaXlmRobertaConfig table = read({{"position_embedding_type", "absolute"}, {"pad_token_id", 3}});
  EXPECT_FALSE(table.attention.rotary);
  EXPECT_EQ(table.padding_id, 3);
  // transformers 5 names no kind of positions.
  const JinaXlmRobertaConfig of_5 =
      read({{"model_type", "jina_embeddings_v3"},
            {"auto_map", "absent"},
            {"position_embedding_type", "absent"},
            {"rotary_emb_base", "absent"},
            {"rope_parameters", {{"rope_type", "default"}, {"rope_theta", 70.0}}}});
  EXPECT_EQ(of_5.attention.rotary->base, 70);
}

TEST(JinaXlmRobertaConfig, WhatIsNotComputedIsRefused) {
  const auto refusal = [](const json& changes, ErrorCode code) {
    return error_text([&] { make_jina_xlm_roberta(changed(kJinaV3, changes)); }, code);
  };
  EXPECT_THAT(refusal({{"position_embedding_type", "relative_key"}}, kRefused), HasSubstr("other positions"));
  EXPECT_THAT(refusal({{"truncate_dim", 256}}, kRefused), HasSubstr("vectors are not cut"));
  EXPECT_THAT(refusal({{"auto_map", {{"AutoModel", "modeling_other.Other"}}}}, kRefused),
              HasSubstr("not the code of a"));
  EXPECT_THAT(refusal({{"hidden_size", 42}}, kWrong), HasSubstr("even number of columns"));
  EXPECT_THAT(refusal({{"position_embedding_type", "absolute"}, {"pad_token_id", 8193}}, kWrong),
              HasSubstr("leaves no position"));
}

TEST(JinaXlmRobertaConfig, ItsCodeOrItsPositionsTellItFromXlmRoberta) {
  const auto family = [](const json& changes) {
    return std::string(find_architecture(changed(kJinaV3, changes)).model_type);
  };
  EXPECT_EQ(family({}), "jina_embeddings_v3");
  EXPECT_EQ(family({{"auto_map", "absent"}}), "jina_embeddings_v3");
  EXPECT_EQ(family({{"position_embedding_type", "absolute"}}), "jina_embeddings_v3");
  EXPECT_EQ(family({{"position_embedding_type", "absolute"}, {"auto_map", "absent"}}), "xlm-roberta");
}

// Published folders have the "model_type" of BERT.
TEST(JinaBertConfig, TheKindOfPositionsTellsItFromBert) {
  const auto family = [](const json& changes) {
    return std::string(find_architecture(changed(kJina, changes)).model_type);
  };
  EXPECT_EQ(family({}), "jina_bert");
  EXPECT_EQ(family({{"auto_map", "absent"}}), "jina_bert");
  EXPECT_EQ(family({{"model_type", "jina_bert"}}), "jina_bert");
  EXPECT_EQ(family({{"position_embedding_type", "absolute"}}), "bert");
  EXPECT_EQ(family({{"position_embedding_type", "absent"}}), "bert");
  EXPECT_EQ(family({{"position_embedding_type", 3}}), "bert");
  EXPECT_EQ(family({{"model_type", "roberta"}}), "roberta");
  const auto refusal = [](const json& changes) {
    const Config config = changed(kJina, changes);
    return error_text([&] { config.reject_unsupported(find_architecture(config).own_keys); }, kRefused);
  };
  EXPECT_THAT(refusal({{"position_embedding_type", "relative_key"}, {"auto_map", "absent"}}),
              HasSubstr("\"position_embedding_type\" is \"relative_key\""));
  EXPECT_THAT(refusal({{"position_embedding_type", "absolute"}}), HasSubstr("\"auto_map\""));
  EXPECT_THAT(refusal({{"model_type", "roberta"}, {"auto_map", "absent"}}),
              HasSubstr("\"position_embedding_type\" is \"alibi\""));
}

}  // namespace
}  // namespace mlxe::test::published_config_test
