#include "models/jina_xlm_roberta.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "models/config_readers.h"
#include "models/post_norm_layer.h"

namespace mlxe {
namespace {

using nlohmann::json;

constexpr const char* kPositionKind = "position_embedding_type";
constexpr double kJinaRotaryBase = 20000;  // of both sources, where none is stated

// transformers 5 has this kind alone and does not state it.
bool is_rotary(const Config& c) {
  c.reject_unless(kPositionKind, {"rotary", "absolute"}, "other positions are not computed");
  return !c.has("auto_map") || c.get_or<std::string>(kPositionKind, "absolute") == "rotary";
}

float rotary_base(const Config& c) {
  constexpr const char* kKey = "rotary_emb_base";
  c.harmless({kKey, "rope_parameters", "rope_scaling"});  // null means "not stated"
  const bool is_stated = c.has(kKey) || c.has("rope_parameters") || c.has("rope_scaling");
  return is_stated ? plain_rotary_base(c, kKey) : static_cast<float>(kJinaRotaryBase);
}

}  // namespace

bool is_jina_xlm_roberta(const Config& c) noexcept {
  const auto is_their_config = [](const json& value) {
    return value.is_string() && value.get_ref<const std::string&>().ends_with(".XLMRobertaFlashConfig");
  };
  const auto positions = c.json().find(kPositionKind), map = c.json().find("auto_map");
  return (positions != c.json().end() && *positions == "rotary") ||
         (map != c.json().end() && map->is_object() &&
          std::any_of(map->begin(), map->end(), is_their_config));
}

JinaXlmRobertaConfig read_jina_xlm_roberta_config(const Config& c) {
  const bool rotary = is_rotary(c);
  const int64_t hidden = rotary ? even_width(c, "hidden_size", "num_attention_heads")
                                : divisible_width(c, "hidden_size", "num_attention_heads"),
                heads = c.positive("num_attention_heads");
  JinaXlmRobertaConfig config{
      .vocab_size = c.positive("vocab_size"),
      .type_vocab_size = c.positive_or("type_vocab_size", 1),
      .hidden_size = hidden,
      .intermediate_size = c.positive("intermediate_size"),
      .max_positions = c.positive("max_position_embeddings"),
      .layers = c.positive("num_hidden_layers"),
      .attention = {.heads = heads},
      .layer_norm_epsilon = static_cast<float>(c.non_negative_number_or("layer_norm_eps", 1e-5)),
      .activation = read_activation(c, "hidden_act", "gelu"),
      .padding_id = {}};
  if (rotary)
    config.attention.rotary = Rotary{rotary_base(c)};
  else
    config.padding_id = padding_before_positions(c, config.max_positions);
  return config;
}

Plan jina_xlm_roberta(const JinaXlmRobertaConfig& c) {
  PlanBuilder p;
  std::vector<std::pair<int, RowIndex>> lookups{
      {p.table("embeddings.word_embeddings", c.vocab_size, c.hidden_size), RowIndex::ids}};
  const int places =
      c.padding_id ? p.table("embeddings.position_embeddings", c.max_positions, c.hidden_size) : 0;
  lookups.emplace_back(p.table("embeddings.token_type_embeddings", c.type_vocab_size, c.hidden_size,
                               Role::token_type_embedding),
                       RowIndex::token_types);
  if (c.padding_id) lookups.emplace_back(places, RowIndex::positions_after_padding);
  ValueId x = p.layer_norm("emb_ln", p.lookup(lookups), c.layer_norm_epsilon);
  p.end_layer(x);
  const PostNormNames names{.query_key_value = {},  // one matrix
                            .attention = "mixer",
                            .attention_out = "mixer.out_proj",
                            .attention_norm = "norm1",
                            .up = "mlp.fc1",
                            .down = "mlp.fc2",
                            .norm = "norm2"};
  for (int64_t i = 0; i < c.layers; ++i) {
    p.scope("encoder.layers." + std::to_string(i) + ".");
    const ValueId attended =
        p.attention("mixer", p.fused_linears("mixer.Wqkv", 3, x, c.hidden_size, Bias::yes), c.attention);
    x = after_attention(p, names, {c.intermediate_size, c.activation, c.layer_norm_epsilon}, attended, x);
    p.end_layer(x);
  }
  Plan plan = p.finish();
  plan.max_tokens = c.max_positions;
  if (c.padding_id) {
    plan.padding_id = *c.padding_id;
    plan.max_tokens = c.max_positions - *c.padding_id - 1;
  }
  return plan;
}

Model make_jina_xlm_roberta(const Config& c) {
  require_own_code(c, {"XLMRoberta"}, "model of Jina's XLM-RoBERTa");
  c.reject_unless("truncate_dim", {}, "vectors are not cut as the published code's own encode() does");
  // Of how the published code runs and trains, of its own encode(), and of adapters, which the checkpoint reads.
  c.harmless({"use_flash_attn", "emb_pooler", "matryoshka_dimensions", "task_instructions",
              "load_trained_adapters", "lora_adaptations", "lora_alpha", "lora_dropout_p",
              "lora_main_params_trainable", "lora_rank", "default_task", "use_reentrant"});
  return {.plan = jina_xlm_roberta(read_jina_xlm_roberta_config(c))};
}

}  // namespace mlxe
