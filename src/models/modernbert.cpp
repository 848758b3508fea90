#include "models/modernbert.h"

#include <array>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "format/json_file.h"
#include "mlx_encoder/error.h"
#include "models/config_readers.h"
#include "models/layer_types.h"
#include "models/plan_builder.h"

namespace mlxe {
namespace {

float rotary_base(const Config& c, const char* type, double otherwise) {
  if (!c.has("rope_parameters")) return static_cast<float>(otherwise);
  const Config all = c.object("rope_parameters");
  if (!all.has(type)) return static_cast<float>(otherwise);
  const Config own = all.object(type);
  own.reject_unless("rope_type", {"default"}, "only plain rotary positions are computed");
  return static_cast<float>(own.non_negative_number_or("rope_theta", otherwise));
}

}  // namespace

ModernBertConfig read_modernbert_config(const Config& c) {
  ModernBertConfig config{.vocab_size = c.positive("vocab_size"),
                          .hidden_size = even_width(c, "hidden_size", "num_attention_heads"),
                          .heads = c.positive("num_attention_heads"),
                          .intermediate_size = c.positive("intermediate_size"),
                          .max_positions = c.positive("max_position_embeddings"),
                          .layers = {},
                          .norm_epsilon = static_cast<float>(c.non_negative_number_or("norm_eps", 1e-5)),
                          .activation = read_activation(c, "hidden_activation", "gelu"),
                          .norm_bias = bias_if(c, "norm_bias"),
                          .attention_bias = bias_if(c, "attention_bias"),
                          .mlp_bias = bias_if(c, "mlp_bias")};
  const double global = c.non_negative_number_or("global_rope_theta", 160000);
  // null: that of the layers that see all; absent: 10,000.
  const bool as_global = c.json().contains("local_rope_theta") && !c.has("local_rope_theta");
  const double local = c.non_negative_number_or("local_rope_theta", as_global ? global : 10000);
  const float full_base = rotary_base(c, kFullAttention, global),
              sliding_base = rotary_base(c, kSlidingAttention, local);
  const int64_t window = c.positive_or("local_attention", 128) / 2;
  const int64_t every = c.positive_or("global_attn_every_n_layers", 3);
  std::vector<bool> otherwise;
  for (int64_t i = 0, layers = c.positive("num_hidden_layers"); i < layers; ++i)
    otherwise.push_back(i % every != 0);
  for (const bool slides : sliding_layers(c, otherwise)) {
    config.layers.push_back({.heads = config.heads,
                             .rotary = Rotary{slides ? sliding_base : full_base},
                             .window = slides ? window : 0});
  }
  return config;
}

Plan modernbert(const ModernBertConfig& c) {
  PlanBuilder p;
  const int words = p.table("embeddings.tok_embeddings", c.vocab_size, c.hidden_size);
  ValueId x = p.layer_norm("embeddings.norm", p.lookup(std::array{std::pair(words, RowIndex::ids)}),
                           c.norm_epsilon, c.norm_bias);
  p.end_layer(x);
  for (size_t i = 0; i < c.layers.size(); ++i) {
    p.scope("layers." + std::to_string(i) + ".");
    const ValueId in = i == 0 ? x : p.layer_norm("attn_norm", x, c.norm_epsilon, c.norm_bias);
    const ValueId attended = p.attention(
        "attn", p.fused_linears("attn.Wqkv", 3, in, c.hidden_size, c.attention_bias), c.layers[i]);
    const ValueId a = p.add("attn", p.linear("attn.Wo", attended, c.hidden_size, c.attention_bias), x);
    const ValueId f =
        p.gated_feed_forward("mlp.Wi", "mlp.Wo", p.layer_norm("mlp_norm", a, c.norm_epsilon, c.norm_bias),
                             c.intermediate_size, c.activation, c.mlp_bias, c.mlp_bias);
    x = p.add("mlp", f, a);
    if (i + 1 == c.layers.size()) {
      p.scope("");
      x = p.layer_norm("final_norm", x, c.norm_epsilon, c.norm_bias);
    }
    p.end_layer(x);
  }
  Plan plan = p.finish();
  plan.max_tokens = c.max_positions;
  return plan;
}

Model make_modernbert(const Config& c) {
  // Of training and other heads; norm_eps is what counts of the two epsilons.
  c.harmless({"reference_compile", "repad_logits_with_grad", "sparse_prediction", "sparse_pred_ignore_index",
              "deterministic_flash_attn", "decoder_bias", "initializer_cutoff_factor", "embedding_dropout",
              "mlp_dropout", "layer_norm_eps"});
  c.harmless({"classifier_activation", "classifier_bias", "classifier_pooling"});  // read by the heads
  return {.plan = modernbert(read_modernbert_config(c))};
}

HeadTransform modernbert_transform(const Config& c) {
  return {
      .dense = "head.dense",
      .activation = read_activation(c, "classifier_activation", "gelu"),
      .bias = bias_if(c, "classifier_bias"),
      .norm = HeadTransform::Norm{.name = "head.norm",
                                  .epsilon = static_cast<float>(c.non_negative_number_or("norm_eps", 1e-5)),
                                  .bias = bias_if(c, "norm_bias")}};
}

SequenceClassifier modernbert_classifier(const Config& c) {
  const std::string pooling = c.get_or<std::string>("classifier_pooling", "cls");
  if (pooling != "cls" && pooling != "mean")
    throw Error(ErrorCode::unsupported,
                c.where() + ": \"classifier_pooling\" is " + printable(pooling) + ", expected cls or mean");
  return {.transform = modernbert_transform(c),
          .out = "classifier",
          .pooling = pooling == "cls" ? PoolingKind::cls : PoolingKind::mean};
}

}  // namespace mlxe
