#include "models/mobilebert.h"

#include <array>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "models/config_readers.h"
#include "models/plan_builder.h"

namespace mlxe {
namespace {

// Three tokens' embeddings side by side.
ValueId mobilebert_embeddings(PlanBuilder& p, const MobileBertConfig& c) {
  const int words = p.table("embeddings.word_embeddings", c.vocab_size, c.embedding_size),
            places = p.table("embeddings.position_embeddings", c.max_positions, c.hidden_size),
            types = p.table("embeddings.token_type_embeddings", c.type_vocab_size, c.hidden_size,
                            Role::token_type_embedding);
  std::vector<ValueId> parts;
  for (const RowIndex by : {RowIndex::next_ids, RowIndex::ids, RowIndex::previous_ids})
    parts.push_back(p.lookup(std::array{std::pair(words, by)}));
  const ValueId wide = p.linear("embeddings.embedding_transformation", p.concatenate(parts), c.hidden_size);
  const ValueId place =
      p.lookup(std::array{std::pair(places, RowIndex::positions), std::pair(types, RowIndex::token_types)});
  return p.affine("embeddings.LayerNorm", p.add("embeddings", wide, place));
}

}  // namespace

Plan mobilebert(const MobileBertConfig& c) {
  PlanBuilder p;
  ValueId x = mobilebert_embeddings(p, c);
  p.end_layer(x);
  const int64_t inside = c.bottleneck_size;
  const auto bottleneck = [&](const std::string& name) {
    return p.affine(name + ".LayerNorm", p.linear(name + ".dense", x, inside));
  };
  // `prefix`: of the feed-forward's names.
  const auto feed_forward = [&](const std::string& prefix, ValueId in) {
    const ValueId f = p.feed_forward(prefix + "intermediate.dense", prefix + "output.dense", in,
                                     c.intermediate_size, c.activation);
    return p.affine(prefix + "output.LayerNorm", p.add(prefix + "output", f, in));
  };
  const std::array<std::string, 2> query_key{"attention.self.query", "attention.self.key"};
  for (int64_t i = 0; i < c.layers; ++i) {
    p.scope("encoder.layer." + std::to_string(i) + ".");
    const ValueId residual = bottleneck("bottleneck.input");
    std::vector<ValueId> qkv = p.multi_linear(query_key, bottleneck("bottleneck.attention"), inside);
    qkv.push_back(p.linear("attention.self.value", x, inside));
    const ValueId attended = p.attention("attention.self", qkv, {.heads = c.heads});
    ValueId a =
        p.affine("attention.output.LayerNorm",
                 p.add("attention.output", p.linear("attention.output.dense", attended, inside), residual));
    for (int64_t n = 0; n + 1 < c.feed_forwards; ++n) a = feed_forward("ffn." + std::to_string(n) + ".", a);
    a = feed_forward("", a);
    x = p.affine("output.bottleneck.LayerNorm",
                 p.add("output.bottleneck", p.linear("output.bottleneck.dense", a, c.hidden_size), x));
    p.end_layer(x);
  }
  Plan plan = p.finish();
  plan.max_tokens = c.max_positions;
  return plan;
}

Model make_mobilebert(const Config& c) {
  constexpr const char* kOther = "this version computes the MobileBERT of google/mobilebert-uncased only";
  c.reject_unless("trigram_input", {true}, kOther);
  c.reject_unless("use_bottleneck", {true}, kOther);
  c.reject_unless("use_bottleneck_attention", {false}, kOther);
  c.reject_unless("key_query_shared_bottleneck", {true}, kOther);
  c.reject_unless("normalization_type", {"no_norm"}, kOther);
  c.reject_unless("classifier_activation", {true}, kOther);
  c.harmless(
      {"layer_norm_eps", "true_hidden_size"});  // of an output that is not run; intra_bottleneck_size again
  const MobileBertConfig config{.vocab_size = c.positive_or("vocab_size", 30522),
                                .hidden_size = c.positive_or("hidden_size", 512),
                                .embedding_size = c.positive_or("embedding_size", 128),
                                .max_positions = c.positive_or("max_position_embeddings", 512),
                                .type_vocab_size = c.positive_or("type_vocab_size", 2),
                                .layers = c.positive_or("num_hidden_layers", 24),
                                .heads = c.positive_or("num_attention_heads", 4),
                                .intermediate_size = c.positive_or("intermediate_size", 512),
                                .bottleneck_size = c.positive_or("intra_bottleneck_size", 128),
                                .feed_forwards = c.positive_or("num_feedforward_networks", 4),
                                .activation = read_activation(c, "hidden_act", "relu")};
  require_divisible(c, "intra_bottleneck_size", config.bottleneck_size, "num_attention_heads", config.heads);
  return {.plan = mobilebert(config)};
}

}  // namespace mlxe
