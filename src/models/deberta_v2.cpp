#include "models/deberta_v2.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "models/config_readers.h"
#include "models/post_norm_layer.h"

namespace mlxe {
namespace {

const std::array<std::string, 3> kQueryKeyValue{"attention.self.query_proj", "attention.self.key_proj",
                                                "attention.self.value_proj"};

// Queries, keys and values of tokens.
std::vector<ValueId> token_values(PlanBuilder& p, const DebertaV2Config& c, ValueId x) {
  if (c.projections != DebertaProjections::fused) return p.multi_linear(kQueryKeyValue, x, c.hidden_size);
  const int64_t heads = c.attention.heads;
  const std::vector<ValueId> parts = p.fused_linears("attention.self.in_proj", static_cast<int>(3 * heads), x,
                                                     c.hidden_size / heads, Bias::no);
  std::array<std::vector<ValueId>, 3> of_heads;
  for (size_t i = 0; i < parts.size(); ++i) of_heads[i % 3].push_back(parts[i]);
  return {p.add_bias("attention.self.q_bias", p.concatenate(of_heads[0])), p.concatenate(of_heads[1]),
          p.add_bias("attention.self.v_bias", p.concatenate(of_heads[2]))};
}

// Keys and queries of positions, as far as the attention has them.
std::vector<ValueId> position_values(PlanBuilder& p, const DebertaV2Config& c, ValueId positions) {
  struct Names {
    std::string key, query;
    Bias key_bias;
  };
  const Names names = c.projections == DebertaProjections::fused
                          ? Names{"attention.self.pos_proj", "attention.self.pos_q_proj", Bias::no}
                      : c.projections == DebertaProjections::own
                          ? Names{"attention.self.pos_key_proj", "attention.self.pos_query_proj", Bias::yes}
                          : Names{kQueryKeyValue[1], kQueryKeyValue[0], Bias::yes};
  std::vector<ValueId> values;
  if (c.attention.disentangled->content_to_position)
    values.push_back(p.linear(names.key, positions, c.hidden_size, names.key_bias));
  if (c.attention.disentangled->position_to_content)
    values.push_back(p.linear(names.query, positions, c.hidden_size));
  return values;
}

// Keys of the language model's head and of training, and those that the classifier reads.
void mark_keys_of_heads(const Config& c) {
  c.harmless({"legacy", "pooler_dropout", "cls_dropout", "pooler_hidden_size", "pooler_hidden_act"});
}

}  // namespace

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
  const PostNormNames names{.query_key_value = {},  // recorded by token_values()
                            .attention = "attention.self",
                            .attention_out = "attention.output.dense",
                            .attention_norm = "attention.output.LayerNorm",
                            .up = "intermediate.dense",
                            .down = "output.dense",
                            .norm = "output.LayerNorm"};
  for (int64_t i = 0; i < c.layers; ++i) {
    ValueId convolved = kNoValue;
    if (i == 0 && c.convolution) {
      p.scope("encoder.conv.");
      convolved = p.activation(p.convolution("conv", x, c.convolution->kernel, c.convolution->groups),
                               c.convolution->activation);
    }
    p.scope("encoder.layer." + std::to_string(i) + ".");
    std::vector<ValueId> values = token_values(p, c, x);
    if (positions != kNoValue)
      std::ranges::copy(position_values(p, c, positions), std::back_inserter(values));
    x = after_attention(p, names, {c.intermediate_size, c.activation, c.layer_norm_epsilon},
                        p.attention(names.attention, values, c.attention), x);
    if (convolved != kNoValue) {
      p.scope("encoder.conv.");
      x = p.layer_norm("LayerNorm", p.add("LayerNorm", convolved, x), c.layer_norm_epsilon);
    }
    p.end_layer(x);
  }
  Plan plan = p.finish();
  plan.max_tokens = c.max_positions;
  return plan;
}

Model make_deberta_v2(const Config& c) {
  mark_keys_of_heads(c);
  return {.plan = deberta_v2(read_deberta_v2_config(c))};
}

Model make_deberta(const Config& c) {
  mark_keys_of_heads(c);
  return {.plan = deberta_v2(read_deberta_config(c))};
}

SequenceClassifier deberta_v2_classifier(const Config& c) {
  c.reject_unless("pooler_hidden_size", {c.positive("hidden_size")}, "it is the width of the pooler's input");
  return {.transform = {kPoolerDense, read_activation(c, "pooler_hidden_act", "gelu")}, .out = "classifier"};
}

}  // namespace mlxe
