#include "models/jina_bert.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "format/json_file.h"
#include "mlx_encoder/error.h"
#include "models/config_readers.h"
#include "models/plan_builder.h"

namespace mlxe {
namespace {

using nlohmann::json;

constexpr const char* kPositions = "position_embedding_type";
constexpr const char* kFeedForward = "feed_forward_type";

// Which of the two repositories the code is from: no other key that a conversion keeps tells them apart. A folder that
// names the wrong one, or none, has not the tensors that the plan asks for.
bool has_query_norms(const Config& c) {
  const auto names_it = [](const json& value) {
    return value.is_string() &&
           value.get_ref<const std::string&>().find("jina-bert-v2-qk-post-norm") != std::string::npos;
  };
  if (!c.has("auto_map")) return false;
  const Config map = c.object("auto_map");
  return std::any_of(map.json().begin(), map.json().end(), names_it);
}

struct FeedForwardKind {
  bool gated;
  Activation activation;
};

FeedForwardKind feed_forward_kind(const Config& c) {
  const auto kind = c.get<std::string>(kFeedForward);
  c.harmless({"hidden_act"});  // a gate has the activation of its name
  if (kind == "geglu") return {true, Activation::gelu_erf};
  if (kind == "reglu") return {true, Activation::relu};
  if (kind == "original") return {false, read_activation(c, "hidden_act", "gelu")};
  throw Error(ErrorCode::unsupported, fmt::format("{}: \"{}\" is {}, expected geglu, reglu or original",
                                                  c.where(), kFeedForward, printable(kind)));
}

ValueId add_norm(PlanBuilder& p, const JinaBertConfig& c, const std::string& name, ValueId y, ValueId x) {
  return p.layer_norm(name, p.add(name, y, x), c.layer_norm_epsilon);
}

ValueId attention(PlanBuilder& p, const JinaBertConfig& c, ValueId x) {
  const std::array<std::string, 3> names{"attention.self.query", "attention.self.key",
                                         "attention.self.value"};
  std::vector<ValueId> qkv = p.multi_linear(names, x, c.hidden_size);
  if (c.query_norms) {
    qkv[0] = p.layer_norm("attention.self.layer_norm_q", qkv[0], c.layer_norm_epsilon);
    qkv[1] = p.layer_norm("attention.self.layer_norm_k", qkv[1], c.layer_norm_epsilon);
  }
  const ValueId attended = p.attention("attention.self", qkv, {.heads = c.heads, .alibi = true});
  const ValueId a = add_norm(p, c, "attention.output.LayerNorm",
                             p.linear("attention.output.dense", attended, c.hidden_size), x);
  return c.query_norms ? add_norm(p, c, "layer_norm_1", a, x) : a;
}

ValueId feed_forward(PlanBuilder& p, const JinaBertConfig& c, ValueId a) {
  if (!c.gated) {
    const ValueId f =
        p.feed_forward("intermediate.dense", "output.dense", a, c.intermediate_size, c.activation);
    return add_norm(p, c, "output.LayerNorm", f, a);
  }
  const auto gated = [&](const char* both, const char* down, GateOrder order) {
    return p.gated_feed_forward(both, down, a, c.intermediate_size, c.activation, Bias::no, Bias::yes, order);
  };
  return c.query_norms
             ? add_norm(p, c, "layer_norm_2",
                        gated("mlp.up_gated_layer", "mlp.down_layer", GateOrder::up_first), a)
             : add_norm(p, c, "mlp.layernorm", gated("mlp.gated_layers", "mlp.wo", GateOrder::gate_first), a);
}

}  // namespace

bool has_alibi(const Config& c) noexcept {
  const auto found = c.json().find(kPositions);
  return found != c.json().end() && *found == "alibi";
}

JinaBertConfig read_jina_bert_config(const Config& c) {
  c.reject_unless(kPositions, {"alibi"}, "other positions of a JinaBERT are not computed");
  if (!c.has(kPositions))
    throw Error(
        ErrorCode::unsupported,
        fmt::format(
            "{}: \"{}\" is absent, expected \"alibi\"; other positions of a JinaBERT are not computed",
            c.where(), kPositions));
  const int64_t hidden = divisible_width(c, "hidden_size", "num_attention_heads"),
                heads = c.positive("num_attention_heads");
  const FeedForwardKind kind = feed_forward_kind(c);
  const bool query_norms = has_query_norms(c);
  if (query_norms && !kind.gated)
    throw Error(ErrorCode::unsupported,
                fmt::format("{}: \"{}\" is \"original\", expected geglu or reglu in a model with norms of "
                            "queries and keys",
                            c.where(), kFeedForward));
  return {.vocab_size = c.positive("vocab_size"),
          .type_vocab_size = c.positive_or("type_vocab_size", 2),
          .hidden_size = hidden,
          .intermediate_size = c.positive("intermediate_size"),
          .max_positions = c.positive("max_position_embeddings"),
          .layers = c.positive("num_hidden_layers"),
          .heads = heads,
          .layer_norm_epsilon = static_cast<float>(c.non_negative_number_or("layer_norm_eps", 1e-12)),
          .gated = kind.gated,
          .activation = kind.activation,
          .query_norms = query_norms};
}

Plan jina_bert(const JinaBertConfig& c) {
  PlanBuilder p;
  const int words = p.table("embeddings.word_embeddings", c.vocab_size, c.hidden_size),
            types = p.table("embeddings.token_type_embeddings", c.type_vocab_size, c.hidden_size,
                            Role::token_type_embedding);
  const std::array lookups{std::pair(words, RowIndex::ids), std::pair(types, RowIndex::token_types)};
  ValueId x = p.layer_norm("embeddings.LayerNorm", p.lookup(lookups), c.layer_norm_epsilon);
  p.end_layer(x);
  for (int64_t i = 0; i < c.layers; ++i) {
    p.scope("encoder.layer." + std::to_string(i) + ".");
    x = feed_forward(p, c, attention(p, c, x));
    p.end_layer(x);
  }
  Plan plan = p.finish();
  plan.max_tokens = c.max_positions;
  return plan;
}

Model make_jina_bert(const Config& c) {
  require_own_code(c, {"JinaBert"}, "JinaBERT");
  // Of tokenizers, and of the published code's own encode(), whose pooling a sentence-transformers folder states.
  c.harmless({"model_max_length", "emb_pooler"});
  return {.plan = jina_bert(read_jina_bert_config(c))};
}

}  // namespace mlxe
