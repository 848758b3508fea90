#include "models/distilbert.h"

#include <array>
#include <string>
#include <utility>

#include "models/post_norm_layer.h"

namespace mlxe {

Plan distilbert(const DistilBertConfig& c) {
  constexpr float kEpsilon = 1e-12f;  // fixed in the original, not a config key
  PlanBuilder p;
  const std::array lookups{
      std::pair(p.table("embeddings.word_embeddings", c.vocab_size, c.dim), RowIndex::ids),
      std::pair(p.table("embeddings.position_embeddings", c.max_positions, c.dim), RowIndex::positions)};
  ValueId x = p.layer_norm("embeddings.LayerNorm", p.lookup(lookups), kEpsilon);
  p.end_layer(x);
  const PostNormNames names{.query_key_value = {"attention.q_lin", "attention.k_lin", "attention.v_lin"},
                            .attention = "attention",
                            .attention_out = "attention.out_lin",
                            .attention_norm = "sa_layer_norm",
                            .up = "ffn.lin1",
                            .down = "ffn.lin2",
                            .norm = "output_layer_norm"};
  for (int64_t i = 0; i < c.layers; ++i) {
    p.scope("transformer.layer." + std::to_string(i) + ".");
    x = post_norm_layer(p, names, {c.hidden_dim, c.activation, kEpsilon}, x, c.dim, {.heads = c.heads});
    p.end_layer(x);
  }
  Plan plan = p.finish();
  plan.max_tokens = c.max_positions;
  return plan;
}

}  // namespace mlxe
