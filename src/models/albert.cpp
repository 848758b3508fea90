#include "models/albert.h"

#include <fmt/format.h>

#include <array>
#include <utility>

#include "models/post_norm_layer.h"

namespace mlxe {
namespace {

// With the original's floating-point division, whose rounding counts where the groups do not divide the layers.
int64_t group_of(int64_t layer, int64_t layers, int64_t groups) {
  return static_cast<int64_t>(static_cast<double>(layer) /
                              (static_cast<double>(layers) / static_cast<double>(groups)));
}

}  // namespace

Plan albert(const BertConfig& c, const AlbertSharing& sharing) {
  PlanBuilder p;
  const int words = p.table("embeddings.word_embeddings", c.vocab_size, c.embedding_size),
            places = p.table("embeddings.position_embeddings", c.max_positions, c.embedding_size),
            types = p.table("embeddings.token_type_embeddings", c.type_vocab_size, c.embedding_size,
                            Role::token_type_embedding);
  const std::array lookups{std::pair(words, RowIndex::ids), std::pair(types, RowIndex::token_types),
                           std::pair(places, RowIndex::positions)};
  ValueId x = p.layer_norm("embeddings.LayerNorm", p.lookup(lookups), c.layer_norm_epsilon);
  x = p.linear("encoder.embedding_hidden_mapping_in", x, c.hidden_size);
  p.end_layer(x);
  const PostNormNames names{.query_key_value = {"attention.query", "attention.key", "attention.value"},
                            .attention = "attention",
                            .attention_out = "attention.dense",
                            .attention_norm = "attention.LayerNorm",
                            .up = "ffn",
                            .down = "ffn_output",
                            .norm = "full_layer_layer_norm"};
  for (int64_t i = 0; i < c.layers; ++i) {
    for (int64_t inner = 0; inner < sharing.inner_layers; ++inner) {
      p.scope(fmt::format("encoder.albert_layer_groups.{}.albert_layers.{}.",
                          group_of(i, c.layers, sharing.groups), inner));
      x = post_norm_layer(p, names, {c.intermediate_size, c.activation, c.layer_norm_epsilon}, x,
                          c.hidden_size, {.heads = c.heads});
    }
    p.end_layer(x);
  }
  Plan plan = p.finish();
  plan.max_tokens = c.max_positions;
  return plan;
}

}  // namespace mlxe
