#include "models/distilbert.h"

#include <array>
#include <string>
#include <utility>

#include "models/plan_builder.h"

namespace mlxe {

Plan distilbert(const DistilBertConfig& c) {
  constexpr float kEpsilon = 1e-12f;  // fixed in the original, not a config key
  PlanBuilder p;
  const std::array lookups{
      std::pair(p.table("embeddings.word_embeddings", c.vocab_size, c.dim), RowIndex::ids),
      std::pair(p.table("embeddings.position_embeddings", c.max_positions, c.dim), RowIndex::positions)};
  ValueId x = p.layer_norm("embeddings.LayerNorm", p.lookup(lookups), kEpsilon);
  p.end_layer(x);
  const std::array<std::string, 3> query_key_value{"attention.q_lin", "attention.k_lin", "attention.v_lin"};
  for (int64_t i = 0; i < c.layers; ++i) {
    p.scope("transformer.layer." + std::to_string(i) + ".");
    const ValueId attended =
        p.attention("attention", p.linears(query_key_value, x, c.dim), {.heads = c.heads});
    const ValueId a =
        p.add_layer_norm("sa_layer_norm", p.linear("attention.out_lin", attended, c.dim), x, kEpsilon);
    const ValueId f = p.feed_forward("ffn.lin1", "ffn.lin2", a, c.hidden_dim, c.activation);
    x = p.add_layer_norm("output_layer_norm", f, a, kEpsilon);
    p.end_layer(x);
  }
  Plan plan = p.finish();
  plan.vocab_size = c.vocab_size;
  plan.max_tokens = c.max_positions;
  return plan;
}

}  // namespace mlxe
