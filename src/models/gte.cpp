#include "models/gte.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "format/json_file.h"
#include "mlx_encoder/error.h"
#include "models/config_readers.h"
#include "models/plan_builder.h"

namespace mlxe {
namespace {

// "ntk" with a factor f turns column pair i of n by (base f)^(-2i/n) f^(-2/n) at each position, whatever the length.
Rotary gte_rotary(const Config& c, int64_t columns) {
  const bool scaled =
      c.has("rope_scaling") && c.object("rope_scaling").get_or<std::string>("type", "") == "ntk";
  if (!scaled) return Rotary{plain_rotary_base(c)};
  c.harmless({"rope_scaling"});
  const Config own = c.object("rope_scaling");
  own.harmless({"type"});
  const double factor = own.non_negative_number("factor"), base = c.non_negative_number("rope_theta");
  own.reject_unless("mixed_b", {}, "a mixed scaling is not computed");
  if (const std::vector<std::string> unknown = own.unused_keys(); !unknown.empty())
    throw Error(ErrorCode::unsupported,
                fmt::format("{}: has {}, which is not computed", own.where(), printable(unknown[0])));
  if (factor < 1 || !(base > 0))
    throw Error(
        ErrorCode::format,
        fmt::format("{}: \"rope_theta\" is {} and the factor of \"rope_scaling\" {}, expected a positive "
                    "number and one of at least 1",
                    c.where(), base, factor));
  return {.base = static_cast<float>(base * factor),
          .scale = static_cast<float>(std::pow(factor, -2.0 / static_cast<double>(columns)))};
}

}  // namespace

GteConfig read_gte_config(const Config& c) {
  c.reject_unless("position_embedding_type", {"rope"}, "only rotary positions are computed");
  c.reject_unless("layer_norm_type", {"layer_norm"}, "only layer norms are computed");
  c.reject_unless("pack_qkv", {true}, "only queries, keys and values of one matrix are computed");
  c.reject_unless("logn_attention_scale", {false}, "only scores of one scale are computed");
  c.harmless({"logn_attention_clip1"});  // of logn_attention_scale
  const int64_t hidden = even_width(c, "hidden_size", "num_attention_heads"),
                heads = c.positive("num_attention_heads");
  const int64_t types = c.has("type_vocab_size") ? c.get<int64_t>("type_vocab_size") : 1;
  return {.vocab_size = c.positive("vocab_size"),
          .type_vocab_size = types == 0 ? 0 : c.positive_or("type_vocab_size", 1),
          .hidden_size = hidden,
          .intermediate_size = c.positive("intermediate_size"),
          .max_positions = c.positive("max_position_embeddings"),
          .layers = c.positive("num_hidden_layers"),
          .attention = {.heads = heads, .rotary = gte_rotary(c, hidden / heads)},
          .layer_norm_epsilon = static_cast<float>(c.non_negative_number_or("layer_norm_eps", 1e-12)),
          .activation = read_activation(c, "hidden_act", "gelu")};
}

Plan gte(const GteConfig& c) {
  PlanBuilder p;
  std::vector<std::pair<int, RowIndex>> lookups{
      {p.table("embeddings.word_embeddings", c.vocab_size, c.hidden_size), RowIndex::ids}};
  if (c.type_vocab_size > 0)
    lookups.emplace_back(p.table("embeddings.token_type_embeddings", c.type_vocab_size, c.hidden_size,
                                 Role::token_type_embedding),
                         RowIndex::token_types);
  ValueId x = p.layer_norm("embeddings.LayerNorm", p.lookup(lookups), c.layer_norm_epsilon);
  p.end_layer(x);
  for (int64_t i = 0; i < c.layers; ++i) {
    p.scope("encoder.layer." + std::to_string(i) + ".");
    const ValueId attended = p.attention(
        "attention", p.fused_linears("attention.qkv_proj", 3, x, c.hidden_size, Bias::yes), c.attention);
    const ValueId sum = p.add("attention", p.linear("attention.o_proj", attended, c.hidden_size), x);
    const ValueId a = p.layer_norm("attn_ln", sum, c.layer_norm_epsilon);
    const ValueId f = p.gated_feed_forward("mlp.up_gate_proj", "mlp.down_proj", a, c.intermediate_size,
                                           c.activation, Bias::no, Bias::yes, GateOrder::up_first);
    x = p.layer_norm("mlp_ln", p.add("mlp", f, a), c.layer_norm_epsilon);
    p.end_layer(x);
  }
  Plan plan = p.finish();
  plan.max_tokens = c.max_positions;
  return plan;
}

Model make_gte(const Config& c) {
  require_own_code(c, {"New", "Gte"});
  c.harmless({"unpad_inputs", "use_memory_efficient_attention"});  // how the published code runs
  return {.plan = gte(read_gte_config(c))};
}

}  // namespace mlxe
