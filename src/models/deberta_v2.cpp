#include "models/deberta_v2.h"

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "models/post_norm_layer.h"

namespace mlxe {

Plan deberta_v2(const DebertaV2Config& c) {
  PlanBuilder p;
  std::vector<std::pair<int, RowIndex>> lookups{
      {p.table("embeddings.word_embeddings", c.vocab_size, c.embedding_size), RowIndex::ids}};
  if (c.position_table)
    lookups.emplace_back(p.table("embeddings.position_embeddings", c.max_positions, c.embedding_size),
                         RowIndex::positions);
  if (c.type_vocab_size > 0)
    lookups.emplace_back(p.table("embeddings.token_type_embeddings", c.type_vocab_size, c.embedding_size,
                                 Role::token_type_embedding),
                         RowIndex::token_types);
  ValueId x = p.lookup(lookups);
  if (c.embedding_size != c.hidden_size) x = p.linear("embeddings.embed_proj", x, c.hidden_size, Bias::no);
  x = p.layer_norm("embeddings.LayerNorm", x, c.layer_norm_epsilon);
  ValueId positions = kNoValue;
  if (const auto& d = c.attention.disentangled) {
    positions = p.all_rows(p.table("encoder.rel_embeddings", 2 * d->span, c.hidden_size));
    if (c.norm_positions) positions = p.layer_norm("encoder.LayerNorm", positions, c.layer_norm_epsilon);
  }
  p.end_layer(x);
  const PostNormNames names{.query_key_value = {"attention.self.query_proj", "attention.self.key_proj",
                                                "attention.self.value_proj"},
                            .attention = "attention.self",
                            .attention_out = "attention.output.dense",
                            .attention_norm = "attention.output.LayerNorm",
                            .up = "intermediate.dense",
                            .down = "output.dense",
                            .norm = "output.LayerNorm"};
  std::vector<std::string> position_names;
  if (const auto& d = c.attention.disentangled) {
    if (d->content_to_position)
      position_names.push_back(c.shared_projections ? names.query_key_value[1]
                                                    : "attention.self.pos_key_proj");
    if (d->position_to_content)
      position_names.push_back(c.shared_projections ? names.query_key_value[0]
                                                    : "attention.self.pos_query_proj");
  }
  for (int64_t i = 0; i < c.layers; ++i) {
    ValueId convolved = kNoValue;
    if (i == 0 && c.convolution) {
      p.scope("encoder.conv.");
      convolved = p.activation(p.convolution("conv", x, c.convolution->kernel, c.convolution->groups),
                               c.convolution->activation);
    }
    p.scope("encoder.layer." + std::to_string(i) + ".");
    std::vector<ValueId> values = p.linears(names.query_key_value, x, c.hidden_size);
    if (positions != kNoValue)
      for (const ValueId table : p.linears(position_names, positions, c.hidden_size)) values.push_back(table);
    x = after_attention(p, names, {c.intermediate_size, c.activation, c.layer_norm_epsilon},
                        p.attention(names.attention, values, c.attention), x);
    if (convolved != kNoValue) {
      p.scope("encoder.conv.");
      x = p.add_layer_norm("LayerNorm", convolved, x, c.layer_norm_epsilon);
    }
    p.end_layer(x);
  }
  Plan plan = p.finish();
  plan.max_tokens = c.max_positions;
  return plan;
}

Model make_deberta_v2(const Config& c) {
  c.harmless({"legacy", "pooler_dropout", "cls_dropout"});  // of the language model's head, of training
  c.harmless({"pooler_hidden_size", "pooler_hidden_act"});  // read by the classifier
  return {.plan = deberta_v2(read_deberta_v2_config(c))};
}

SequenceClassifier deberta_v2_classifier(const Config& c) {
  c.reject_unless("pooler_hidden_size", {c.positive("hidden_size")}, "it is the width of the pooler's input");
  return {.transform = {kPoolerDense, parse_activation(c.get_or<std::string>("pooler_hidden_act", "gelu"),
                                                       c.where() + ": \"pooler_hidden_act\"")},
          .out = "classifier"};
}

}  // namespace mlxe
