#include "models/mpnet.h"

#include <array>
#include <string>
#include <utility>

#include "models/plan_builder.h"

namespace mlxe {

Plan mpnet(const BertConfig& c, int64_t bias_rows) {
  constexpr int64_t kBuckets = 32;   // of relative positions, whatever the table's rows
  constexpr int32_t kPaddingId = 1;  // fixed in the original, like the largest distance
  constexpr int64_t kMaxDistance = 128;
  PlanBuilder p;
  const int words = p.table("embeddings.word_embeddings", c.vocab_size, c.hidden_size),
            places = p.table("embeddings.position_embeddings", c.max_positions, c.hidden_size),
            distances = p.table("encoder.relative_attention_bias", bias_rows, c.heads, Role::relative_bias);
  const std::array lookups{std::pair(words, RowIndex::ids),
                           std::pair(places, RowIndex::positions_after_padding)};
  ValueId x = p.layer_norm("embeddings.LayerNorm", p.lookup(lookups), c.layer_norm_epsilon);
  p.end_layer(x);
  const std::array<std::string, 3> query_key_value{"attention.attn.q", "attention.attn.k",
                                                   "attention.attn.v"};
  const AttentionSpec attention{
      .heads = c.heads, .relative_bias = RelativeBias{.buckets = kBuckets, .max_distance = kMaxDistance}};
  for (int64_t i = 0; i < c.layers; ++i) {
    p.scope("encoder.layer." + std::to_string(i) + ".");
    const ValueId attended =
        p.attention("attention.attn", p.linears(query_key_value, x, c.hidden_size), attention, distances);
    const ValueId a =
        p.add_layer_norm("attention.LayerNorm", p.linear("attention.attn.o", attended, c.hidden_size), x,
                         c.layer_norm_epsilon);
    const ValueId f =
        p.feed_forward("intermediate.dense", "output.dense", a, c.intermediate_size, c.activation);
    x = p.add_layer_norm("output.LayerNorm", f, a, c.layer_norm_epsilon);
    p.end_layer(x);
  }
  Plan plan = p.finish();
  plan.vocab_size = c.vocab_size;
  plan.padding_id = kPaddingId;
  plan.max_tokens = c.max_positions - kPaddingId - 1;
  return plan;
}

}  // namespace mlxe
