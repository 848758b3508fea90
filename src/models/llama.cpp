#include "models/llama.h"

#include <array>
#include <string>
#include <utility>

#include "models/plan_builder.h"

namespace mlxe {

Plan llama(const LlamaConfig& c) {
  PlanBuilder p;
  const bool around = c.norm_places == NormPlaces::around;
  const auto norm = [&](const std::string& name, ValueId x) {
    return p.rms_norm(name, x, c.norm_epsilon, c.norm);
  };
  const int words = p.table("embed_tokens", c.vocab_size, c.hidden_size, Role::embedding, c.embedding_scale);
  ValueId x = p.lookup(std::array{std::pair(words, RowIndex::ids)});
  p.end_layer(x);
  const std::array<std::string, 3> qkv{"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"};
  const std::vector<std::string> head_norms{"self_attn.q_norm", "self_attn.k_norm"};
  for (size_t i = 0; i < c.layers.size(); ++i) {
    const AttentionSpec& spec = c.layers[i];
    const int64_t width = spec.heads * c.head_size, kv_width = width / spec.group();
    p.scope("layers." + std::to_string(i) + ".");
    const ValueId in = norm("input_layernorm", x);
    const ValueId attended = p.attention(
        "self_attn", p.multi_linear(qkv, in, std::array{width, kv_width, kv_width}, c.attention_bias), spec,
        {}, spec.norms ? head_norms : std::vector<std::string>{});
    ValueId a = p.linear("self_attn.o_proj", attended, c.hidden_size, c.attention_bias);
    if (around) a = norm("post_attention_layernorm", a);
    a = p.add("self_attn", a, x);
    ValueId f =
        p.gated_feed_forward("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj",
                             norm(around ? "pre_feedforward_layernorm" : "post_attention_layernorm", a),
                             c.intermediate_size, c.activation, c.mlp_bias);
    if (around) f = norm("post_feedforward_layernorm", f);
    x = p.add("mlp", f, a);
    if (i + 1 == c.layers.size()) {
      p.scope("");
      x = norm("norm", x);
    }
    p.end_layer(x);
  }
  Plan plan = p.finish();
  plan.max_tokens = c.max_positions;
  return plan;
}

}  // namespace mlxe
