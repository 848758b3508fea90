#include "models/bert.h"

#include <array>
#include <string>
#include <utility>

#include "models/post_norm_layer.h"

namespace mlxe {
namespace {

Plan bert_with(const BertConfig& c, RowIndex positions) {
  PlanBuilder p;
  const int64_t width = c.embedding_size > 0 ? c.embedding_size : c.hidden_size;
  const int words = p.table("embeddings.word_embeddings", c.vocab_size, width),
            places = p.table("embeddings.position_embeddings", c.max_positions, width),
            types = p.table("embeddings.token_type_embeddings", c.type_vocab_size, width,
                            Role::token_type_embedding);
  const std::array lookups{std::pair(words, RowIndex::ids), std::pair(types, RowIndex::token_types),
                           std::pair(places, positions)};
  ValueId x = p.layer_norm("embeddings.LayerNorm", p.lookup(lookups), c.layer_norm_epsilon);
  if (width != c.hidden_size) x = p.linear("embeddings_project", x, c.hidden_size);
  p.end_layer(x);
  const PostNormNames names{
      .query_key_value = {"attention.self.query", "attention.self.key", "attention.self.value"},
      .attention = "attention.self",
      .attention_out = "attention.output.dense",
      .attention_norm = "attention.output.LayerNorm",
      .up = "intermediate.dense",
      .down = "output.dense",
      .norm = "output.LayerNorm"};
  for (int64_t i = 0; i < c.layers; ++i) {
    p.scope("encoder.layer." + std::to_string(i) + ".");
    x = post_norm_layer(p, names, {c.intermediate_size, c.activation, c.layer_norm_epsilon}, x, c.hidden_size,
                        {.heads = c.heads});
    p.end_layer(x);
  }
  Plan plan = p.finish();
  plan.max_tokens = c.max_positions;
  return plan;
}

}  // namespace

Plan bert(const BertConfig& config) {
  return bert_with(config, RowIndex::positions);
}

Plan roberta(const BertConfig& config, int32_t pad_token_id) {
  Plan plan = bert_with(config, RowIndex::positions_after_padding);
  plan.padding_id = pad_token_id;
  plan.max_tokens = config.max_positions - pad_token_id - 1;
  return plan;
}

}  // namespace mlxe
