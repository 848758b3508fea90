#include "models/qwen3.h"

#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "mlx_encoder/error.h"
#include "models/config_readers.h"
#include "models/grouped_heads.h"
#include "models/layer_types.h"
#include "models/plan_builder.h"

namespace mlxe {
namespace {

// Largest distance from a query to a key in sliding layers; 0: no layer slides. It is W - 1 for a "sliding_window" of W
// tokens, which includes the query's own.
int64_t qwen3_window(const Config& c) {
  const bool nulled = c.json().contains("sliding_window") && !c.has("sliding_window");
  const int64_t tokens = c.positive_or("sliding_window", 4096);
  if (!c.get_or<bool>("use_sliding_window", false) || nulled) return 0;
  if (tokens == 1)
    throw Error(ErrorCode::unsupported,
                c.where() + ": \"sliding_window\" is 1; this version computes windows of two tokens or more");
  return tokens - 1;
}

}  // namespace

Qwen3Config read_qwen3_config(const Config& c) {
  c.reject_unless("is_causal", {true}, "only attention to earlier tokens was compared with transformers");
  const GroupedHeads heads = read_grouped_heads(c, 32, 128);
  Qwen3Config config{.vocab_size = c.positive("vocab_size"),
                     .hidden_size = c.positive("hidden_size"),
                     .intermediate_size = c.positive("intermediate_size"),
                     .max_positions = c.positive("max_position_embeddings"),
                     .head_size = heads.size,
                     .layers = {},
                     .norm_epsilon = static_cast<float>(c.non_negative_number_or("rms_norm_eps", 1e-6)),
                     .activation = parse_activation(c.get_or<std::string>("hidden_act", "silu"),
                                                    c.where() + ": \"hidden_act\""),
                     .attention_bias = c.get_or<bool>("attention_bias", false) ? Bias::yes : Bias::no};
  const LayerNorm norm{.epsilon = config.norm_epsilon, .has_bias = Bias::no, .kind = NormKind::rms};
  const AttentionSpec spec{.heads = heads.heads,
                           .kv_heads = heads.kv_heads,
                           .rotary = Rotary{plain_rotary_base(c)},
                           .norms = HeadNorms{norm, norm},
                           .causal = true};
  const int64_t window = qwen3_window(c), full_layers = c.positive_or("max_window_layers", 28);
  std::vector<bool> slides;
  for (int64_t i = 0, layers = c.positive("num_hidden_layers"); i < layers; ++i)
    slides.push_back(window > 0 && i >= full_layers);
  for (const bool slide : sliding_layers(c, slides)) {
    if (slide && window == 0)
      throw Error(ErrorCode::format, fmt::format("{}: \"layer_types\" has {}, but \"use_sliding_window\" or "
                                                 "\"sliding_window\" allows none",
                                                 c.where(), kSlidingAttention));
    config.layers.push_back(spec);
    if (slide) config.layers.back().window = window;
  }
  return config;
}

Plan qwen3(const Qwen3Config& c) {
  PlanBuilder p;
  const int words = p.table("embed_tokens", c.vocab_size, c.hidden_size);
  ValueId x = p.lookup(std::array{std::pair(words, RowIndex::ids)});
  p.end_layer(x);
  const std::array<std::string, 3> qkv{"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"};
  const std::array<std::string, 2> norms{"self_attn.q_norm", "self_attn.k_norm"};
  for (size_t i = 0; i < c.layers.size(); ++i) {
    const AttentionSpec& spec = c.layers[i];
    const int64_t width = spec.heads * c.head_size, kv_width = width / spec.group();
    p.scope("layers." + std::to_string(i) + ".");
    const ValueId in = p.rms_norm("input_layernorm", x, c.norm_epsilon);
    const ValueId attended = p.attention(
        "self_attn", p.multi_linear(qkv, in, std::array{width, kv_width, kv_width}, c.attention_bias), spec,
        {}, norms);
    const ValueId a =
        p.add("self_attn", p.linear("self_attn.o_proj", attended, c.hidden_size, c.attention_bias), x);
    const ValueId f = p.gated_feed_forward("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj",
                                           p.rms_norm("post_attention_layernorm", a, c.norm_epsilon),
                                           c.intermediate_size, c.activation, Bias::no);
    x = p.add("mlp", f, a);
    if (i + 1 == c.layers.size()) {
      p.scope("");
      x = p.rms_norm("norm", x, c.norm_epsilon);
    }
    p.end_layer(x);
  }
  Plan plan = p.finish();
  plan.max_tokens = c.max_positions;
  return plan;
}

Model make_qwen3(const Config& c) {
  return {.plan = qwen3(read_qwen3_config(c))};
}

}  // namespace mlxe
