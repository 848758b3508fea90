#include "models/mpnet.h"

#include <array>
#include <string>
#include <utility>

#include "models/post_norm_layer.h"

namespace mlxe {

Plan mpnet(const BertConfig& c, int64_t bias_rows) {
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
  const PostNormNames names{.query_key_value = {"attention.attn.q", "attention.attn.k", "attention.attn.v"},
                            .attention = "attention.attn",
                            .attention_out = "attention.attn.o",
                            .attention_norm = "attention.LayerNorm",
                            .up = "intermediate.dense",
                            .down = "output.dense",
                            .norm = "output.LayerNorm"};
  const AttentionSpec attention{
      .heads = c.heads,
      .relative_bias = RelativeBias{.buckets = kMPNetBuckets, .max_distance = kMaxDistance}};
  for (int64_t i = 0; i < c.layers; ++i) {
    p.scope("encoder.layer." + std::to_string(i) + ".");
    x = post_norm_layer(p, names, {c.intermediate_size, c.activation, c.layer_norm_epsilon}, x, c.hidden_size,
                        attention, distances);
    p.end_layer(x);
  }
  Plan plan = p.finish();
  plan.padding_id = kPaddingId;
  plan.max_tokens = c.max_positions - kPaddingId - 1;
  return plan;
}

}  // namespace mlxe
